"""The frame path, from recordings to identities on a floor plan. Stages in flow order:

========== ==================================== ==========================================
stage      where                                what goes out
========== ==================================== ==========================================
list       ``media/timeline.py``                the sub-videos of each camera, on one clock
fetch      ``media/object_store.py``, ``cache`` local files, downloaded ahead of playback
decode     ``gst/camera.py``                    I420 frames with media time, per camera
align      ``gst/synchroniser.py``              synchronised sets at the task's rate
detect     ``inference/detector.py``            person boxes, four frames a batch
associate  ``tracking/tracklets.py``            per-camera tracklets
embed      ``inference/embedder.py``            appearance vectors, throttled
match, map ``tracking/identities.py``           global ids and floor positions
encode     ``media/jpeg.py``, ``wire.py``       one binary message per synchronised set
publish    ``live.py``                          bounded Redis streams
store      ``history.py``                       PostgreSQL rows, exactly once
========== ==================================== ==========================================

``worker.py`` runs them for one task, ``playback.py`` and ``commands.py`` set its pace, and
``replay.py`` shows what is stored again, without the models; ``plan_graph.py`` opens the recordings
for both. ``messages.py`` holds what crosses processes, ``frames.py`` what crosses stages.
"""
