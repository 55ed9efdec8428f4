"""I420 frames to planar RGB model input, resized before the colour conversion.

Resizing the three planes and converting the small picture costs half of converting the large
one; each result plane is written where the model reads it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from plugins.frames import Frame

Plane = npt.NDArray[np.uint8]
BoxXYXY = tuple[float, float, float, float]
PAD_VALUE = 114


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a frame lies in a model input: top-left, ``width`` x ``height`` pixels, both even."""

    width: int
    height: int
    frame_width: int
    frame_height: int

    def to_frame(self, boxes_xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, 4) xyxy pixels of the model input as pixels of the full frame, clipped to it."""
        scale = np.array(
            [self.frame_width / self.width, self.frame_height / self.height] * 2, np.float32
        )
        border = np.array([self.frame_width, self.frame_height] * 2, np.float32)
        return np.asarray(np.clip(boxes_xyxy * scale, 0, border), np.float32)


def fit(frame_width: int, frame_height: int, size_hw: tuple[int, int]) -> Letterbox:
    """The largest even-sized picture of the frame's aspect that ``size_hw`` holds."""
    scale = min(size_hw[0] / frame_height, size_hw[1] / frame_width)
    width = max(2, round(frame_width * scale / 2) * 2)
    height = max(2, round(frame_height * scale / 2) * 2)
    return Letterbox(
        min(width, size_hw[1] // 2 * 2), min(height, size_hw[0] // 2 * 2), frame_width, frame_height
    )


def write_letterboxed(frame: Frame, target: Plane) -> Letterbox:
    """Draw ``frame`` into ``target``, uint8 (3, H, W) RGB, padded right and below with 114."""
    place = fit(frame.width, frame.height, (target.shape[1], target.shape[2]))
    target[:, place.height :] = PAD_VALUE
    target[:, : place.height, place.width :] = PAD_VALUE
    planes = _planes(frame)
    _write(planes, target[:, : place.height, : place.width])
    return place


def write_crop(frame: Frame, bbox_xyxy: BoxXYXY, target: Plane) -> None:
    """Draw the box's part of ``frame`` into ``target``, uint8 (3, h, w) RGB, filling it.

    The box is widened to whole chroma samples (even pixels) and cut at the frame's border.
    """
    left, right = _even_span(bbox_xyxy[0], bbox_xyxy[2], frame.width)
    top, bottom = _even_span(bbox_xyxy[1], bbox_xyxy[3], frame.height)
    luma, blue, red = _planes(frame)
    half = np.s_[top // 2 : bottom // 2, left // 2 : right // 2]
    _write((luma[top:bottom, left:right], blue[half], red[half]), target)


def _even_span(low: float, high: float, size: int) -> tuple[int, int]:
    """Even start and end around low..high within 0..size, at least two pixels long."""
    start = int(min(max(low, 0), size - 2)) // 2 * 2
    end = -(-int(np.ceil(min(max(high, 0), size))) // 2) * 2
    return start, max(end, start + 2)


def _planes(frame: Frame) -> tuple[Plane, Plane, Plane]:
    """Y (h, w), U and V (h/2, w/2) as views of the frame."""
    height, width = frame.height, frame.width
    quarter = height * width // 4
    flat = frame.i420.reshape(-1)
    shape = (height // 2, width // 2)
    chroma = flat[height * width :]
    return (
        flat[: height * width].reshape(height, width),
        chroma[:quarter].reshape(shape),
        chroma[quarter:].reshape(shape),
    )


def _write(planes: tuple[Plane, Plane, Plane], target: Plane) -> None:
    """Resize the planes to the target's size and convert there; an odd target loses a line."""
    height, width = target.shape[1] // 2 * 2, target.shape[2] // 2 * 2
    small = np.empty((height * 3 // 2, width), np.uint8)
    flat = small.reshape(-1)
    half = (width // 2, height // 2)
    quarter = half[0] * half[1]
    cv2.resize(planes[0], (width, height), dst=small[:height])
    start = height * width
    for plane in planes[1:]:
        cv2.resize(plane, half, dst=flat[start : start + quarter].reshape(half[1], half[0]))
        start += quarter
    rgb = np.asarray(cv2.cvtColor(small, cv2.COLOR_YUV2RGB_I420), np.uint8)
    _write_channels(rgb, target[:, :height, :width])


def _write_channels(rgb: Plane, target: Plane) -> None:
    if target[0].flags.c_contiguous:
        for channel in range(3):
            cv2.extractChannel(rgb, channel, dst=target[channel])
    else:
        np.copyto(target, rgb.transpose(2, 0, 1))
