"""JPEG straight from the decoder's planes: no colour conversion in between."""

import numpy as np
import numpy.typing as npt
import simplejpeg

from plugins.frames import Frame

Plane = npt.NDArray[np.uint8]


def encode_jpeg(frame: Frame, quality: int) -> bytes:
    """The whole frame as a baseline 4:2:0 JPEG; ``quality`` 1..100."""
    y, u, v = planes(frame)
    encoded: bytes = simplejpeg.encode_jpeg_yuv_planes(Y=y, U=u, V=v, quality=quality)
    return encoded


def reduce_jpeg(jpeg: bytes, factor: int, quality: int) -> bytes:
    """A JPEG about ``factor`` (2, 4 or 8) times smaller in each direction, encoded again."""
    height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    picture = simplejpeg.decode_jpeg(
        jpeg, "BGR", fastdct=True, min_height=height // factor, min_width=width // factor
    )
    reduced: bytes = simplejpeg.encode_jpeg(
        picture, quality=quality, colorspace="BGR", colorsubsampling="420", fastdct=True
    )
    return reduced


def planes(frame: Frame) -> tuple[Plane, Plane, Plane]:
    """Views of Y (height, width), U and V (height / 2, width / 2) of the packed I420 picture."""
    pixels, half = frame.width * frame.height, (frame.height // 2, frame.width // 2)
    flat = frame.i420.reshape(-1)
    y = flat[:pixels].reshape(frame.height, frame.width)
    u = flat[pixels : pixels + pixels // 4].reshape(half)
    v = flat[pixels + pixels // 4 : pixels + pixels // 2].reshape(half)
    return y, u, v
