"""Stacks of (N, 4, 4) matrices: x forward, y left, z up."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def moved(
    count: int, x: npt.ArrayLike = 0.0, y: npt.ArrayLike = 0.0, z: npt.ArrayLike = 0.0
) -> Array:
    """``count`` moves by numbers or (N,) arrays."""
    result = np.tile(np.eye(4), (count, 1, 1))
    result[:, 0, 3], result[:, 1, 3], result[:, 2, 3] = x, y, z
    return result


def yaw(angle: Array) -> Array:
    """Turns to the left by ``angle`` (N,) rad."""
    return _turned(angle, 0, 1)


def pitch(angle: Array) -> Array:
    """What hangs down swings forward by ``angle`` (N,) rad."""
    return _turned(angle, 0, 2)


def roll(angle: Array) -> Array:
    """What hangs down swings to the left by ``angle`` (N,) rad."""
    return _turned(angle, 1, 2)


def _turned(angle: Array, first: int, second: int) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    result = np.tile(np.eye(4), (len(c), 1, 1))
    result[:, first, first] = result[:, second, second] = c
    result[:, first, second], result[:, second, first] = -s, s
    return result
