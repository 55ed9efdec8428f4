"""From pixels to metres: where on the floor plan a person's feet stand.

========================== =========================================================
``lens.py``                lens distortion, both ways, with its Jacobian
``calibration.py``         fit a camera's homography to point pairs
``fit_warnings.py``        doubts about such a fit
``pose.py``                camera position and the vertical, out of the homography
``ground_plane.py``        one camera: foot pixels to metres with covariance, and back
``environment.py``         read and check environments
``environment_types.py``   environment, camera, zone
``environment_file.py``    what their TOML file may contain
``cameras_and_zones.py``   each camera and zone of a file, taken or refused on its own
``plan_checks.py``         mistakes in plans and polygons
========================== =========================================================

Pure: numpy, scipy, cv2, msgspec and the standard library. Pixels have their origin in the centre
of the picture's top left pixel, x to the right and y down. Metres are those of the floor plan;
whether its y axis points up or down is the plan's own affair.
"""
