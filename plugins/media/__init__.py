"""Recordings on their way in, pictures on their way out.

============================== ================================================================
``object_store.py``            the seam: S3 (``s3_store.py``) or a folder
``mp4.py``                     what an MP4's headers say: codec, size, frames, exact duration
``timeline.py``                the sub-videos of each camera, end to end on one clock
``cache.py``                   local copies: resumed, checked, bounded; fetched ahead of playback
``jpeg.py``, ``overlays.py``   encoding and drawing
``wire.py``                    one binary message per synchronised set
============================== ================================================================
"""
