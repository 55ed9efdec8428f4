"""Models: how they come into the repository, how Triton serves them, how frames reach it.

=========================== ===================================================================
``model_import.py``         a foreign ONNX file -> the next version in ``model_repository``
``layouts/``                what is particular to RTMDet, YOLOX, OSNet ... exports
``graph_surgery.py``        the ONNX edits they share; ``detection_graph.py`` adds decode and NMS
``model_check.py``          inference before installation: contract kept, same answers as before
``known_models.py``         open models by name, fetched and checked (``known_models.toml``)
``serving.py``              which version serves; ``promotion.py`` changes that under load
``warmup.py``               the serving engine's ``model_warmup`` in every configuration
``tensorrt_build.py``       commands and names of TensorRT plans; ``plan_cache.py`` builds them
``quantisation.py``         INT8 copies; ``trial_footage.py`` the pictures they are calibrated on
``agreement.py``            how far two models say the same
``triton_server.py``        the embedded server process; ``triton_runtime.py`` its files and ports
``supervision.py``          canary inferences, restarts
``onnxruntime_backend/``    runs inside the server: serves ``model.onnx`` on a CPU
``served_model.py``         what a server says of a model, held against the contract
``triton_client.py``        sessions with a server; ``shared_memory.py`` carries their pictures
``detector.py``             frames -> person boxes; ``embedder.py`` crops -> appearance vectors
``pictures.py``             I420 -> model input, as few copies as possible
=========================== ===================================================================

The model contract. ``person_detector``: ``images`` uint8 [N, 3, H, W] RGB, letterboxed top-left
with pad 114 -> ``boxes`` float32 [N, 100, 4] xyxy pixels of that input, ``scores`` float32
[N, 100] descending and zero-padded, ``labels`` int32 [N, 100] (0 = person, the only label).
``person_reid``: ``crops`` uint8 [N, 3, h, w] RGB -> ``embeddings`` float32 [N, D], length 1.
Normalisation, colour order, decoding, suppression and score floor are inside the graph, so an
engine is swapped without touching code. Sizes differ per engine and come from its metadata.
"""
