"""The GPU profile: one DeepStream pipeline decodes, detects and embeds for all cameras of a task.

=================== =====================================================================
``presence.py``     is all there that it needs? which profile follows from that
``driver.py``       what NVIDIA's driver says of GPUs and decoders
``configuration.py`` the texts of ``deepstream_configs/``, places filled in
``float_input.py``   copies of the models for nvinfer, the fallback without Triton
``graph.py``        names, properties and links of every element, over a factory of parts
``gst_parts.py``    that factory on real GStreamer
``metadata.py``     DeepStream's metadata to arrays and back: the only use of pyds's names
``throttle.py``     whose picture is worth an embedding (pure)
``probes.py``       the three pad probes: attach boxes, choose whom to embed, copy out
``lane.py``         one camera's way through the pipeline, with the decoder's interface
``pipeline.py``     the running pipeline, and a new one after a failure
``failures.py``     what NVIDIA's parts say when something known is wrong, and the cure
``inferred.py``     frames that bring their results along, read as detector and embedder do
=================== =====================================================================

To the rest of the frame path the pipeline is a decoder (``gst/decoder.py``) whose frames know their
detections, vectors and JPEG already: sources, synchroniser, tracking and storing are the same in
both profiles. Of this folder ``presence.py`` and ``driver.py`` have run on a GPU, on a machine
without DeepStream; no other line has, and what is checked without one is in ``tests/deepstream``.
"""
