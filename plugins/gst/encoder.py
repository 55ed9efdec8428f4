"""Writes MP4 files from raw pictures: H.264 with B-frames, as recorders make them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from plugins.errors import SpotOnError
from plugins.gst.gstreamer import Gst, free, launch

_TIMEOUT_NS = 60 * Gst.SECOND
_QUEUE_BYTES = 8_000_000
_ENCODERS = {
    "h264": "x264enc speed-preset={preset} pass=qual quantizer={quantizer} threads=1 b-adapt=false"
    " bframes=2 key-int-max={gop} ! h264parse",
    "mpeg4": "avenc_mpeg4 bitrate=800000 gop-size={gop}",
    "h265": "x265enc speed-preset=ultrafast key-int-max={gop} ! h265parse",
}

Plane = npt.NDArray[np.uint8]


class VideoWriter:
    """Encodes raw pictures into one MP4, frame by frame at a constant rate.

    A key frame about once a second. ``codec`` is one of h264, mpeg4, h265; ``pixel_format`` I420
    or Y444 (4:4:4 may have odd sizes). Leaving the ``with`` block by an exception breaks off:
    the file is incomplete then. Raises SpotOnError for what GStreamer reports.
    """

    def __init__(
        self,
        path: Path,
        rate: float | Fraction,
        width: int,
        height: int,
        *,
        codec: str = "h264",
        faststart: bool = False,
        pixel_format: str = "I420",
        quantizer: int = 23,
        preset: str = "veryfast",
    ) -> None:
        self._path, self._rate, self._count = path, Fraction(rate).limit_denominator(1001), 0
        gop = max(1, round(self._rate))
        encoder = _ENCODERS[codec].format(gop=gop, quantizer=quantizer, preset=preset)
        self._pipeline = launch(
            "appsrc name=in format=time max-bytes=0"
            f" ! videoconvert n-threads=1 ! video/x-raw,format={pixel_format}"
            f" ! {encoder} ! mp4mux faststart={str(faststart).lower()} ! filesink name=out"
        )
        self._pipeline.get_by_name("out").set_property("location", str(path))
        self._input = self._pipeline.get_by_name("in")
        self._input.set_property("caps", _raw_caps(pixel_format, self._rate, width, height))

    def __enter__(self) -> Self:
        self._pipeline.set_state(Gst.State.PLAYING)
        return self

    def write(self, planes: Sequence[Plane]) -> None:
        """Adds the picture of Y, U and V planes (rows, columns)."""
        self._push(b"".join(_padded(plane) for plane in planes))

    def write_i420(self, i420: Plane) -> None:
        """Adds a packed picture (height * 3 // 2, width); the width is even."""
        rows, width = i420.shape
        if width % 8 == 0:
            self._push(i420.tobytes())
            return
        luma, chroma = np.split(i420.reshape(-1), [rows * 2 // 3 * width])
        u, v = np.split(chroma.reshape(-1, width // 2), 2)
        self.write([luma.reshape(-1, width), u, v])

    def __exit__(self, kind: type[BaseException] | None, *_failure: object) -> None:
        try:
            if kind is None:
                self._input.end_of_stream()
                self._wait_for_end()
        finally:
            free(self._pipeline)

    def _push(self, content: bytes) -> None:
        buffer = Gst.Buffer.new_wrapped(content)
        buffer.pts = int(self._count * Gst.SECOND / self._rate)
        buffer.duration = int(Gst.SECOND / self._rate)
        self._count += 1
        self._input.push_buffer(buffer)
        while self._input.get_property("current-level-bytes") > _QUEUE_BYTES:
            self._message(5 * Gst.MSECOND, Gst.MessageType.UNKNOWN)

    def _wait_for_end(self) -> None:
        if self._message(_TIMEOUT_NS, Gst.MessageType.EOS) is None:
            raise SpotOnError(f"{self._path}: GStreamer did not finish writing: is the disk full?")

    def _message(self, wait_ns: int, wanted: Any) -> Any:
        kinds = Gst.MessageType.ERROR | wanted
        message = self._pipeline.get_bus().timed_pop_filtered(wait_ns, kinds)
        if message is not None and message.type == Gst.MessageType.ERROR:
            raise SpotOnError(f"{self._path}: {message.parse_error()[0].message}")
        return message


def _raw_caps(pixel_format: str, rate: Fraction, width: int, height: int) -> Any:
    return Gst.Caps.from_string(
        f"video/x-raw,format={pixel_format},width={width},height={height},"
        f"framerate={rate.numerator}/{rate.denominator},interlace-mode=progressive"
    )


def _padded(plane: Plane) -> bytes:
    """GStreamer's default layout: each row filled up to four bytes."""
    return np.pad(plane, ((0, 0), (0, -plane.shape[1] % 4))).tobytes()
