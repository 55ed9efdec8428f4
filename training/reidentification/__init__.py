"""Where the bundled embedder comes from, and how good embedders are. In this order:

============= ======================= ===========================================================
step          where                   what comes out
============= ======================= ===========================================================
people        ``wardrobe.py``         thousands of people, many of them dressed alike
rooms         ``rooms.py``            made-up rooms, lamps and cameras
crops         ``crops.py``            pictures of people as the pipeline would cut them out
batches       ``dataset.py``          people dressed alike side by side; boxes as detectors give
training      ``train.py``            weights (``network.py``, ``augment.py``, ``loss.py``)
export        ``export.py``           the ONNX file and a record of the training (``record.py``)
installation  ``bundle.py``           version 1 of person_reid: cosines set to the tracker's
                                      thresholds (``calibration.py``), its card (``card.py``)
evaluation    ``evaluate.py``         tables beside open models (``models.py``), from crops of
                                      scenes and real recordings (``gallery.py``), by
                                      ``metrics.py``
============= ======================= ===========================================================

``python -m training.reidentification --help``. ``train`` and
``export`` alone need torch.
"""
