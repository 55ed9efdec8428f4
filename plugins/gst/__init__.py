"""Decoding with GStreamer: ``demux`` → ``camera`` → ``synchroniser`` → ``cpu_graph``.

The only package that imports ``gi`` (through ``gstreamer.py``); ``synchroniser.py`` needs none.
"""
