"""From a box in a picture to where on the floor that person stands, and how tall.

The whole box is measured, not the foot alone: the middle of its sides, its bottom and its top are
held against an upright person at (x, y) of height h. Where the feet are cut off or hidden, the head
and the usual height of people still tell the place.
"""

from dataclasses import dataclass

import numpy as np

from plugins.tracking.camera_plane import BoolArray, CameraPlane, FloatArray
from plugins.tracking.crops import hidden_share
from plugins.tracking.parameters import TrackingParameters

# Shares of the box height: how far detectors' edges are from the body, one standard deviation.
_SIDE_SIGMA = 0.04
_FOOT_SIGMA = 0.04
_HEAD_SIGMA = 0.03
_HIDDEN_SIGMA = 0.4
_UNKNOWN_SIGMA = 10.0
_LEAST_SIGMA_PX = 1.5
_BORDER_SHARE = 0.006
_MAX_MOVE_M = 1.5
_ITERATIONS = 3
_MOST_CONDITION = 1e15


@dataclass(frozen=True, slots=True)
class Standing:
    """People on the floor: ``state`` (N, 3) is (x_m, y_m, height_m), ``cov`` (N, 3, 3).

    Rows with ``is_valid`` (N,) false are NaN.
    """

    state: FloatArray
    cov: FloatArray
    is_valid: BoolArray

    def row(self, index: int) -> "Standing":
        """One of them alone."""
        one = slice(index, index + 1)
        return Standing(self.state[one], self.cov[one], self.is_valid[one])


def locate(boxes_xyxy: FloatArray, plane: CameraPlane, parameters: TrackingParameters) -> Standing:
    """Least-squares floor positions of boxes (N, 4), of which the others may hide one."""
    sigma_px = _edge_sigma_px(boxes_xyxy, plane)
    foot_px = np.stack([boxes_xyxy[:, [0, 2]].mean(axis=1), boxes_xyxy[:, 3]], axis=1)
    ground = plane.to_ground(foot_px, sigma_px[:, :2])
    start = np.full((len(boxes_xyxy), 3), parameters.height_m)
    start[:, :2] = ground.position_m
    if plane.projection is None:
        return _from_foot(start, ground.covariance_m2, ground.is_valid, parameters)
    measured = _edges_px(boxes_xyxy, plane)
    state, cov = fit(measured, sigma_px, start, plane.projection, parameters)
    is_valid = ground.is_valid & np.isfinite(state).all(axis=1) & np.isfinite(cov).all(axis=(1, 2))
    # No better look at the box can remove the calibration's part.
    cov[:, :2, :2] += ground.calibration_m2 + parameters.position_bias_m**2 * np.eye(2)
    state[~is_valid], cov[~is_valid] = np.nan, np.nan
    return Standing(state, cov, is_valid)


def _from_foot(
    start: FloatArray, covariance_m2: FloatArray, is_valid: BoolArray, p: TrackingParameters
) -> Standing:
    """Without the camera's pose the foot point is all there is; the height stays unknown."""
    cov = np.zeros((len(start), 3, 3))
    cov[:, :2, :2] = covariance_m2 + p.position_bias_m**2 * np.eye(2)
    cov[:, 2, 2] = 1.0
    return Standing(np.where(is_valid[:, None], start, np.nan), cov, is_valid)


def _edge_sigma_px(boxes_xyxy: FloatArray, plane: CameraPlane) -> FloatArray:
    """Standard deviations (N, 3) of the sides' middle, the bottom and the top, in pixels."""
    height = boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
    border_x, border_y = _BORDER_SHARE * plane.width, _BORDER_SHARE * plane.height
    side_cut = (boxes_xyxy[:, 0] <= border_x) | (boxes_xyxy[:, 2] >= plane.width - 1 - border_x)
    foot_cut = boxes_xyxy[:, 3] >= plane.height - 1 - border_y
    head_cut = boxes_xyxy[:, 1] <= border_y
    share = np.stack(
        [
            np.where(side_cut, 4 * _SIDE_SIGMA, _SIDE_SIGMA),
            np.where(
                foot_cut, _UNKNOWN_SIGMA, _FOOT_SIGMA + _HIDDEN_SIGMA * _feet_hidden(boxes_xyxy)
            ),
            np.where(head_cut, _UNKNOWN_SIGMA, _HEAD_SIGMA),
        ],
        axis=1,
    )
    return np.maximum(share * height[:, None], _LEAST_SIGMA_PX)


def _feet_hidden(boxes_xyxy: FloatArray) -> FloatArray:
    """Share (N,) of each box's lower half that another box, nearer to the camera, covers."""
    lower = boxes_xyxy.copy()
    lower[:, 1] = (boxes_xyxy[:, 1] + boxes_xyxy[:, 3]) / 2
    return hidden_share(lower)


def _edges_px(boxes_xyxy: FloatArray, plane: CameraPlane) -> FloatArray:
    """Sides' middle, bottom and top (N, 3) in undistorted pixels."""
    middle = boxes_xyxy[:, [0, 2]].mean(axis=1)
    foot_and_head = np.stack([middle, boxes_xyxy[:, 3], middle, boxes_xyxy[:, 1]], axis=1)
    px = plane.undistort(foot_and_head.reshape(-1, 2)).reshape(-1, 2, 2)
    return np.stack([px[:, :, 0].mean(axis=1), px[:, 0, 1], px[:, 1, 1]], axis=1)


def fit(
    measured_px: FloatArray,
    sigma_px: FloatArray,
    state: FloatArray,
    P: FloatArray,
    parameters: TrackingParameters,
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Newton on (x, y, h), with the usual height of people as a prior on h.

    From a ``state`` (N, 3), ``measured_px`` and ``sigma_px`` (N, 3) of the sides' middle, the
    bottom and the top, and the projection ``P`` (3, 4). NaN where that leads nowhere.
    """
    prior = np.zeros((3, 3))
    prior[2, 2] = parameters.height_sigma_m**-2
    cov = np.full((len(state), 3, 3), np.nan)
    for _ in range(_ITERATIONS):
        predicted, J = _linearised(P, state)
        weighted = J / sigma_px[:, :, None] ** 2
        normal = weighted.swapaxes(1, 2) @ J + prior
        gradient = ((measured_px - predicted)[:, None, :] @ weighted)[:, 0]
        gradient[:, 2] -= prior[2, 2] * (state[:, 2] - parameters.height_m)
        is_finite = np.isfinite(normal).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
        rows = np.flatnonzero(is_finite)
        # Right at a camera or on its horizon the edges say nothing about one of the three.
        rows = rows[np.linalg.cond(normal[rows]) < _MOST_CONDITION]
        cov = np.full((len(state), 3, 3), np.nan)
        cov[rows] = np.linalg.inv(normal[rows] + 1e-9 * np.eye(3))
        move = (cov @ gradient[..., None])[..., 0]
        state = state + np.clip(move, -_MAX_MOVE_M, _MAX_MOVE_M)
    return state, cov


def _linearised(P: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sides' middle, bottom and top (N, 3) of upright people, and their Jacobian (N, 3, 3).

    NaN for who is behind the camera.
    """
    foot = state[:, :2] @ P[:, :2].T + P[:, 3]
    head = foot + state[:, 2:] * P[:, 2]
    foot_px, foot_J = _divided(foot, np.column_stack([P[:, :2], np.zeros(3)]))
    head_px, head_J = _divided(head, P[:, :3])
    predicted = np.stack(
        [(foot_px[:, 0] + head_px[:, 0]) / 2, foot_px[:, 1], head_px[:, 1]], axis=1
    )
    J = np.stack([(foot_J[:, 0] + head_J[:, 0]) / 2, foot_J[:, 1], head_J[:, 1]], axis=1)
    return predicted, J


def _divided(homogeneous: FloatArray, by: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels (N, 2) and their Jacobian (N, 2, 3), given that of the homogeneous point (3, 3)."""
    w = np.where(homogeneous[:, 2] > 0, homogeneous[:, 2], np.nan)
    px = homogeneous[:, :2] / w[:, None]
    return px, (by[:2] - px[:, :, None] * by[2]) / w[:, None, None]
