"""From what the renderer drew to what the camera records: lens, softness, sensor noise."""

import zlib

import cv2
import numpy as np
import numpy.typing as npt

from training.camera_view import Grade, View

Picture = npt.NDArray[np.uint8]

_GRAIN_PX = 1 << 21
_grain: dict[float, Picture] = {}


def developed(rgba: Picture, view: View, grade: Grade, frame: int) -> Picture:
    """``rgba`` (rows, columns, 4) of the canvas as a packed I420 picture (height * 3 // 2, width).
    The noise depends on the camera's id and ``frame`` only.
    """
    if view.remap is not None:
        rgba = np.asarray(cv2.remap(rgba, *view.remap, cv2.INTER_LINEAR), dtype=np.uint8)
    i420 = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2YUV_I420), dtype=np.uint8)
    luma = i420[: i420.shape[0] * 2 // 3]
    cv2.GaussianBlur(luma, (3, 3), grade.blur_px, dst=luma)
    seed = zlib.crc32(view.camera.camera_id.encode()) + 7_919_111 * frame
    return _with_noise(i420, grade.noise, seed)


def _with_noise(i420: Picture, sigma: float, seed: int) -> Picture:
    """Adds grain cut from a long strip at a place that ``seed`` chooses."""
    strip = _grain_strip(sigma, i420.size)
    start = seed % (len(strip) - i420.size)
    grain = strip[start : start + i420.size].reshape(i420.shape)
    return np.asarray(cv2.addWeighted(i420, 1.0, grain, 1.0, -128.0), dtype=np.uint8)


def _grain_strip(sigma: float, at_least: int) -> Picture:
    """Grey 128 with noise of standard deviation ``sigma``; made once."""
    strip = _grain.get(sigma)
    if strip is None or len(strip) <= at_least:
        values = np.random.default_rng(5).normal(128, sigma, max(_GRAIN_PX, 2 * at_least))
        strip = _grain[sigma] = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return strip
