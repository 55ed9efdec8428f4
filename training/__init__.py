"""Rendered scenes, and what is learnt from them. ``spoton simulate`` makes one, in this order:

=============== ================================ ==============================================
step            where                            what comes out
=============== ================================ ==============================================
room            ``demo_room.py``, ``room.py``    walls, furniture, doors, places to stand at
people          ``people.py``                    height, build, clothes, hair, bags
plans           ``plans.py``                     who goes where and stays how long
walks           ``behaviour.py``, ``navigation`` position and heading of each person and frame
poses           ``gait.py``                      a matrix for each bone, feet fixed to the floor
shapes          ``scenery.py``, ``figure.py``    triangles (``meshes.py``)
pictures        ``render.py``, ``shaders/``      one picture per camera (``camera_view.py``) from
                                                 the empty room (``plate.py``), people's shade
                                                 (``shadows.py``) and the people
truth           ``ground_truth.py``              boxes with visibility (``visibility.py``), metres
files           ``filming.py``, ``simulate.py``  sub-videos and truth; all or nothing
=============== ================================ ==============================================

Networks learn from pictures made with the same parts: ``detection/`` from scenes with as little in
common as possible (``randomised/``), ``reidentification/`` from crops of people in its own rooms.
Each has a map of its own. Nothing of the frame path imports this package.
"""
