"""Scores of the whole path against a truth: what ``spoton evaluate`` and ``spoton explain`` do.

================== =================================================================
``footage.py``     what is evaluated: cameras, boxes or videos, and the truth
``layouts.py``     a folder's layout, recognised by its files; one reader each:
``filmed.py``      videos, ``homographies.json``, ``pseudo_gt.json``
``detected.py``    ``DET_*``, ``homographies.json``, ``GT_*``: boxes without pictures
``rendered.py``    a scene of ``spoton simulate``
``rooms.py``       which part of the floor a truth covers
``made_boxes.py``  true boxes with noise, misses and clutter
``methods.py``     what a method says of each set; SpotOn's own
``baselines.py``   what one writes by hand, for comparison
``playing.py``     footage through the stages of the frame path and the methods
``scores.py``      TrackEval: HOTA, IDF1, MOTA of one sequence of names
``report.py``      all scores of one evaluation
``plots.py``       pictures of it
``story.py``       one identity's decisions in words
``picture_strip.py`` and in pictures
================== =================================================================
"""
