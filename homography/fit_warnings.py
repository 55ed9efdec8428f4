"""What to tell whoever calibrated a camera about the fit of the homography, in plain words."""

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ENOUGH_PAIRS = 6
_POOR_RMSE_M = 0.3
_POOR_LEAVE_ONE_OUT_M = 1.0
_MIN_THINNESS = 0.08
_MIN_COVERED = 0.2


def point_warnings(
    image_px: Array, ground_m: Array, is_inlier: Mask, image_size: tuple[int, int] | None
) -> list[str]:
    """Doubts about the choice of the points (N, 2), of which ``is_inlier`` (N,) were used."""
    doubts = [
        _few_pairs(int(is_inlier.sum())),
        _rejected(is_inlier),
        _nearly_on_a_line(image_px[is_inlier], "image"),
        _nearly_on_a_line(ground_m[is_inlier], "ground"),
        _partial(image_px[is_inlier], image_size),
    ]
    return [doubt for doubt in doubts if doubt is not None]


def error_warnings(
    residual_m: Array, is_inlier: Mask, rmse_m: float, leave_one_out_rmse_m: float
) -> list[str]:
    """Doubts about the result; ``residual_m`` (N,) is NaN for points behind the horizon."""
    used = np.where(is_inlier & np.isfinite(residual_m), residual_m, 0.0)
    doubts = [
        _poor(rmse_m, int(np.argmax(used)) + 1, float(used.max())),
        _unsupported(leave_one_out_rmse_m),
        _across_horizon(np.isfinite(residual_m)),
    ]
    return [doubt for doubt in doubts if doubt is not None]


def _few_pairs(count: int) -> str | None:
    if count >= _ENOUGH_PAIRS:
        return None
    return f"only {count} point pairs: one wrong pair goes unnoticed; give six or more"


def _rejected(is_inlier: Mask) -> str | None:
    numbers = ", ".join(str(i + 1) for i in np.flatnonzero(~is_inlier))
    return f"pairs left out as gross mistakes: number {numbers}; check them" if numbers else None


def _nearly_on_a_line(points: Array, kind: str) -> str | None:
    singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if singular[1] >= _MIN_THINNESS * singular[0]:
        return None
    return f"the {kind} points lie nearly on one line; add pairs to the side of it"


def _poor(rmse_m: float, worst: int, worst_m: float) -> str | None:
    if rmse_m <= _POOR_RMSE_M:
        return None
    return (
        f"poor fit: the points are {rmse_m:.2f} m off (root mean square), pair {worst}"
        f" {worst_m:.2f} m; check the pairs and the plan, or give the lens if straight lines"
        " look bent"
    )


def _unsupported(leave_one_out_rmse_m: float) -> str | None:
    if not leave_one_out_rmse_m > _POOR_LEAVE_ONE_OUT_M:
        return None
    return (
        f"single pairs decide the fit: predicted from the others a point is"
        f" {leave_one_out_rmse_m:.1f} m off; add pairs near the outermost ones"
    )


def _across_horizon(is_visible: Mask) -> str | None:
    numbers = ", ".join(str(i + 1) for i in np.flatnonzero(~is_visible))
    if not numbers:
        return None
    return f"the fitted horizon runs between the points: pairs {numbers} are behind it; check them"


def _partial(image_px: Array, image_size: tuple[int, int] | None) -> str | None:
    if image_size is None:
        return None
    hull = cv2.convexHull(image_px.astype(np.float32))
    covered = float(cv2.contourArea(hull)) / (image_size[0] * image_size[1])
    if covered >= _MIN_COVERED:
        return None
    return (
        f"the points cover {covered:.0%} of the picture; positions outside of them are"
        " extrapolated; add pairs near its borders"
    )
