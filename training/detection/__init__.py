"""The bundled person detector, from made-up scenes to an ONNX file. In order:

=========== ======================== ===================================================
step        where                    what comes out
=========== ======================== ===================================================
render      ``pictures.py``          JPEGs of random scenes (``training/randomised``)
train       ``samples.py``           pictures as training sees them
            ``network.py``           what is trained
            ``loss.py``              which cell answers for whom, and how wrong it is
            ``train.py``             checkpoints
export      ``export.py``            version 1 of the model repository
            ``bundle.py, card.py``   its model card
evaluate    ``held_out.py``          scenes and footage that nothing was trained on
            ``served.py``            detectors under the contract
            ``scoring.py``           AP50, recall, precision
            ``evaluate, tables``     side by side
=========== ======================== ===================================================

``network``, ``loss``, ``train``, ``export`` and ``bundle`` need torch, which stands in
``.venv-train`` alone; the rest runs without.
"""
