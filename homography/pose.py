"""What a homography tells about where the camera is and which way is up."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Below about 13 degrees from straight down, the picture says too little about the focal length.
_MIN_SIN2_TILT = 0.05
# Surveyed cameras reach 0.995; below this the homography is too inexact to imply a focal length.
_MIN_AGREEMENT = 0.98
_FOCAL_WIDTHS = (0.3, 3.0)


def projection_with_height(
    ground_to_image: Array, width: int, height: int, K: Array | None
) -> Array | None:
    """Complete a homography (3, 3), third row positive in front of the camera, by the column of
    the height to a projection (3, 4) of (x_m, y_m, height_m, 1).

    Without ``K`` the pixels are taken as square and the optical axis as the picture's centre, and
    the focal length is what the homography then implies; None where it does not imply a
    plausible one. Height 0 projects exactly as the homography does, even where it is noisy.
    Source: Zhang, "A Flexible New Technique for Camera Calibration", 2000, section 3.1.
    """
    camera_matrix = _guess_camera_matrix(ground_to_image, width, height) if K is None else K
    if camera_matrix is None:
        return None
    columns = np.linalg.solve(camera_matrix, ground_to_image)
    U, singular, Vt = np.linalg.svd(columns[:, :2], full_matrices=False)
    axes = U @ Vt
    normal = np.cross(axes[:, 0], axes[:, 1])
    # A plan whose y axis points down has its cross product in the floor: up is the camera's side.
    up = -normal if float(normal @ columns[:, 2]) > 0 else normal
    vertical = camera_matrix @ up * singular.mean()
    first, second, origin = ground_to_image.T
    return np.stack([first, second, vertical, origin], axis=1)


def _guess_camera_matrix(ground_to_image: Array, width: int, height: int) -> Array | None:
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    centred = ground_to_image[:2] - centre[:, None] * ground_to_image[2]
    focal = _focal_length_px(centred[:, :2], ground_to_image[2, :2])
    low, high = (factor * width for factor in _FOCAL_WIDTHS)
    if focal is None or not low <= focal <= high:
        return None
    return np.array([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])


def _focal_length_px(in_plane: Array, along_axis: Array) -> float | None:
    """The two axes of the floor are at right angles and equally long: two equations for one
    unknown, 1 / f**2. Their least-squares solution does not depend on how the axes lie.
    """
    (ax, bx), (ay, by) = in_plane
    a, b = along_axis
    seen = np.array([2 * (ax * bx + ay * by), ax * ax + ay * ay - bx * bx - by * by])
    depth = np.array([2 * a * b, a * a - b * b])
    norms = float(np.linalg.norm(seen) * np.linalg.norm(depth))
    if norms == 0 or -float(seen @ depth) < _MIN_AGREEMENT * norms:
        return None
    focal_squared = float(seen @ seen) / -float(seen @ depth)
    length2 = float((in_plane**2).sum() / focal_squared + along_axis @ along_axis) / 2
    if float(along_axis @ along_axis) < _MIN_SIN2_TILT * length2:
        return None
    return float(np.sqrt(focal_squared))
