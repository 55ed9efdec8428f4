"""Fit the homography of a camera over a flat floor to point pairs, and say how good it is."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from homography.errors import CalibrationError
from homography.fit_warnings import error_warnings, point_warnings
from homography.lens import Lens

__all__ = ["CalibrationError", "Fit", "fit_homography"]

Array = npt.NDArray[np.float64]

_MIN_PAIRS = 4
_MIN_PAIRS_ROBUST = 8
_OUTLIER_SIGMAS = 4.0
_MIN_OUTLIER_M = 0.3
# On a plan that is nowhere exact, leaving out the worst pairs always helps a little.
_MUCH_BETTER = 0.4
# Ratio of the thin to the long side of the point cloud below which it counts as a line.
_MIN_THINNESS = 1e-3
_MIN_RANK_RATIO = 1e-6
_MAX_CONDITION = 1e7
_CLICKED_SIGMA_M = 0.1
_PRIOR_FREEDOM = 4


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted homography and its error, over all N pairs or, where said, the inliers.

    ``image_to_ground`` (3, 3) takes undistorted pixels to metres; its third row is positive at
    most inliers. ``residual_m`` and ``residual_px`` (N,) are distances between a given point and
    its pair mapped over; NaN where that lies behind the horizon. ``rmse_*`` and ``median_*`` are
    of the inliers. ``leave_one_out_rmse_m`` predicts each inlier from the others, NaN where
    they are too few. ``sigma_m`` is the standard deviation per axis of a ground point given the
    fit, ``matrix_covariance`` (9, 9) that of the matrix's entries, row by row.
    ``floor_px`` is the inlier farthest from the horizon, as an undistorted pixel.
    """

    image_to_ground: Array
    matrix_covariance: Array
    residual_m: Array
    residual_px: Array
    is_inlier: npt.NDArray[np.bool_]
    rmse_m: float
    median_m: float
    rmse_px: float
    median_px: float
    leave_one_out_rmse_m: float
    sigma_m: float
    floor_px: tuple[float, float]
    warnings: tuple[str, ...]


def fit_homography(
    image_points_px: npt.ArrayLike,
    ground_points_m: npt.ArrayLike,
    *,
    image_size: tuple[int, int] | None = None,
    lens: Lens | None = None,
) -> Fit:
    """Fit ``image_to_ground`` to pairs of a picture's pixel (N, 2) and a floor point (N, 2).

    Normalised DLT, then least squares of the distance on the floor. From eight pairs on, gross
    mistakes (over 0.3 m off, and without them the error is less than half) are left out.
    ``image_size`` (width, height) lets the warnings tell how much of the picture is covered;
    with a ``lens`` the pixels are undistorted first.
    Raises CalibrationError for fewer than four pairs, unequal numbers, values that are not
    finite, and points that determine no homography.
    Source: Hartley and Zisserman, Multiple View Geometry, 2nd edition, section 4.4 and 5.2.
    """
    image, ground = _checked(image_points_px, ground_points_m)
    if lens is not None:
        image, _, is_valid = lens.undistort(image)
        if not is_valid.all():
            raise CalibrationError(
                f"point pair {int(np.argmin(is_valid)) + 1} lies where the lens model cannot be"
                " inverted: check K and distortion"
            )
    normalise_image, normalise_ground = _normalisation(image), _normalisation(ground)
    u, x = _apply(normalise_image, image), _apply(normalise_ground, ground)
    metres = 1 / normalise_ground[0, 0]
    is_inlier = _inliers(u, x, metres)
    normalised = _refined(u[is_inlier], x[is_inlier])
    covariance, sigma = _covariance(normalised, u[is_inlier], x[is_inlier], metres)
    back = np.asarray(np.linalg.inv(normalise_ground), dtype=np.float64)
    return _judged(
        image,
        ground,
        is_inlier,
        matrix=back @ normalised @ normalise_image,
        covariance=_kronecker(back, normalise_image, covariance),
        sigma_m=sigma * metres,
        leave_one_out_rmse_m=_leave_one_out(u[is_inlier], x[is_inlier]) * metres,
        image_size=image_size,
    )


def _judged(
    image: Array,
    ground: Array,
    is_inlier: npt.NDArray[np.bool_],
    *,
    matrix: Array,
    covariance: Array,
    sigma_m: float,
    leave_one_out_rmse_m: float,
    image_size: tuple[int, int] | None,
) -> Fit:
    depth = np.column_stack([image, np.ones(len(image))]) @ matrix[2]
    scale = float(np.median(depth[is_inlier]))
    is_visible = depth * scale > 0
    residual_m = np.where(is_visible, _distance(_apply(matrix, image), ground), np.nan)
    mapped_px = _apply(np.asarray(np.linalg.inv(matrix), dtype=np.float64), ground)
    residual_px = np.where(is_visible, _distance(mapped_px, image), np.nan)
    used_m, used_px = residual_m[is_inlier], residual_px[is_inlier]
    rmse_m = float(np.sqrt(np.nanmean(used_m**2)))
    doubts = [
        *point_warnings(image, ground, is_inlier, image_size),
        *error_warnings(residual_m, is_inlier, rmse_m, leave_one_out_rmse_m),
    ]
    return Fit(
        matrix / scale,
        covariance / scale**2,
        residual_m,
        residual_px,
        is_inlier,
        rmse_m,
        float(np.nanmedian(used_m)),
        float(np.sqrt(np.nanmean(used_px**2))),
        float(np.nanmedian(used_px)),
        leave_one_out_rmse_m,
        sigma_m,
        _deepest(image[is_inlier], depth[is_inlier] * scale),
        tuple(doubts),
    )


def _deepest(image: Array, depth: Array) -> tuple[float, float]:
    x, y = image[int(np.argmax(depth))]
    return float(x), float(y)


def _checked(image_points_px: npt.ArrayLike, ground_points_m: npt.ArrayLike) -> tuple[Array, Array]:
    image = np.array(image_points_px, dtype=np.float64)
    ground = np.array(ground_points_m, dtype=np.float64)
    if len(image) != len(ground):
        raise CalibrationError(
            f"{len(image)} image points but {len(ground)} ground points: give them in pairs"
        )
    if len(image) < _MIN_PAIRS:
        raise CalibrationError(f"{len(image)} point pairs: a homography needs four, better ten")
    for points, kind in ((image, "image"), (ground, "ground")):
        if points.shape != (len(image), 2) or not np.isfinite(points).all():
            raise CalibrationError(f"every {kind} point must be two finite numbers")
        singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        if singular[1] <= _MIN_THINNESS * singular[0]:
            raise CalibrationError(
                f"all {kind} points lie on one line: add pairs to the side of it"
            )
    return image, ground


def _normalisation(points: Array) -> Array:
    centre = points.mean(axis=0)
    scale = np.sqrt(2) / _distance(points, centre).mean()
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def _apply(matrix: Array, points: Array) -> Array:
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mapped[:, :2] / mapped[:, 2:])


def _distance(a: Array, b: Array) -> Array:
    return np.asarray(np.hypot(*(a - b).T))


def _inliers(u: Array, x: Array, metres: float) -> npt.NDArray[np.bool_]:
    """Everything but gross mistakes: pairs without which the fit is very much better."""
    everything = np.ones(len(u), dtype=bool)
    if len(u) < _MIN_PAIRS_ROBUST:
        return everything
    matrix = np.asarray(cv2.findHomography(u, x, cv2.LMEDS)[0], dtype=np.float64)
    if matrix.shape != (3, 3):
        return everything
    residual = _distance(_apply(matrix, u), x)
    sigma = 1.4826 * float(np.nanmedian(residual))
    kept = residual <= max(_OUTLIER_SIGMAS * sigma, _MIN_OUTLIER_M / metres)
    if kept.all() or kept.sum() < max(_MIN_PAIRS_ROBUST - 2, 0.6 * len(u)):
        return everything
    return kept if _rmse(u[kept], x[kept]) < _MUCH_BETTER * _rmse(u, x) else everything


def _rmse(u: Array, x: Array) -> float:
    return float(np.sqrt(np.mean(_distance(_apply(_refined(u, x), u), x) ** 2)))


def _dlt(u: Array, x: Array) -> Array:
    """Linear solution for normalised points; CalibrationError where it is not unique."""
    p = np.column_stack([u, np.ones(len(u))])
    design = np.zeros((len(u), 2, 9))
    design[:, 0, :3] = design[:, 1, 3:6] = p
    design[:, :, 6:] = -x[:, :, None] * p[:, None, :]
    # The triangle has the same singular values and right vectors, and nine rows at most.
    triangle = np.linalg.qr(design.reshape(-1, 9), mode="r")
    _, singular, Vt = np.linalg.svd(triangle)
    matrix = Vt[-1].reshape(3, 3)
    if singular[7] < _MIN_RANK_RATIO * singular[0] or np.linalg.cond(matrix) > _MAX_CONDITION:
        raise CalibrationError(
            "the point pairs determine no homography: all but one or two lie on a line, or points"
            " repeat; add pairs spread over the visible floor"
        )
    return np.asarray(matrix)


def _refined(u: Array, x: Array) -> Array:
    """Least squares of the distance in ``x``, from the linear solution, without its free scale."""
    start = _dlt(u, x).ravel()
    basis = np.linalg.svd(start[None, :])[2][1:].T
    p = np.column_stack([u, np.ones(len(u))])

    def residual(step: Array) -> Array:
        mapped = p @ (start + basis @ step).reshape(3, 3).T
        return np.asarray((mapped[:, :2] / mapped[:, 2:] - x).ravel())

    def jacobian(step: Array) -> Array:
        return np.asarray(_by_entry((start + basis @ step).reshape(3, 3), u) @ basis)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        before = residual(np.zeros(8))
        if not np.isfinite(before).all():
            return start.reshape(3, 3)
        found = least_squares(residual, np.zeros(8), jacobian, method="trf", max_nfev=200)
    matrix = (start + basis @ found.x).reshape(3, 3)
    return np.asarray(matrix / np.linalg.norm(matrix))


def _by_entry(matrix: Array, u: Array) -> Array:
    """Derivative (2N, 9) of the mapped points by the entries of the matrix, row by row."""
    p = np.column_stack([u, np.ones(len(u))])
    mapped = p @ matrix.T
    scaled = p / mapped[:, 2:]
    derivative = np.zeros((len(u), 2, 9))
    derivative[:, 0, :3] = derivative[:, 1, 3:6] = scaled
    derivative[:, :, 6:] = -(mapped[:, :2] / mapped[:, 2:])[:, :, None] * scaled[:, None, :]
    return np.asarray(derivative.reshape(-1, 9))


def _covariance(matrix: Array, u: Array, x: Array, metres: float) -> tuple[Array, float]:
    """Covariance (9, 9) of the entries and the standard deviation per axis, from the residuals.

    A few pairs leave almost no residual however wrong they are, so what is expected of points
    clicked by hand counts as two pairs more.
    """
    squares = float((_distance(_apply(matrix, u), x) ** 2).sum())
    freedom = 2 * len(u) - 8
    prior = (_CLICKED_SIGMA_M / metres) ** 2
    sigma = float(np.sqrt((squares + _PRIOR_FREEDOM * prior) / (freedom + _PRIOR_FREEDOM)))
    derivative = _by_entry(matrix, u)
    return np.asarray(np.linalg.pinv(derivative.T @ derivative, rcond=1e-12) * sigma**2), sigma


def _kronecker(left: Array, right: Array, covariance: Array) -> Array:
    """Covariance of the entries of ``left @ M @ right``, given that of M's."""
    transform = np.kron(left, right.T)
    return np.asarray(transform @ covariance @ transform.T)


def _leave_one_out(u: Array, x: Array) -> float:
    squares = []
    for i in range(len(u)):
        others = np.arange(len(u)) != i
        if others.sum() < _MIN_PAIRS:
            return float("nan")
        try:
            matrix = _refined(u[others], x[others])
        except CalibrationError:
            continue
        squares.append(float((_distance(_apply(matrix, u[i : i + 1]), x[i : i + 1]) ** 2).sum()))
    return float(np.sqrt(np.mean(squares))) if squares else float("nan")
