"""From pixels to metres: where on the floor plan a person's feet stand.

===================== ==============================================================
``lens.py``           lens distortion, both ways, with its Jacobian
``calibration.py``    fit the homography of a camera to point pairs, and judge the fit
``ground_plane.py``   one camera: foot pixels to metres with covariance, and back
``environment.py``    environments and their cameras and zones, read from TOML files
``environment_file``  what such a file may contain
``checks.py``         what can be wrong with its cameras and zones
===================== ==============================================================

Pure: numpy, scipy, cv2, msgspec and the standard library. Pixels have their origin in the centre
of the picture's top left pixel, x to the right and y down. Metres are those of the floor plan;
whether its y axis points up or down is the plan's own affair.
"""
