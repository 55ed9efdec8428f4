"""The CPU's H.264 decoder: access units in, packed I420 frames out, media time kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from plugins.frames import Frame
from plugins.gst.demux import ACCESS_UNIT_CAPS, AccessUnit
from plugins.gst.gstreamer import Gst, GstVideo, first_error, free, launch

_POLL_NS = 50 * Gst.MSECOND
# Timestamps count from well before the first frame: a key frame may lie long before it.
_LEAD_NS = 24 * 3600 * Gst.SECOND


class Decoder(Protocol):
    """What a camera needs of a decoder; see ``H264Decoder`` for what each does."""

    def push(self, unit: AccessUnit) -> bool:
        """Hands in the next access unit."""

    def end(self) -> None:
        """No more access units."""

    def pull(self) -> Frame | None:
        """The next frame, or None for now."""

    def is_ended(self) -> bool:
        """Whether all frames are out after ``end``."""

    def error(self) -> str | None:
        """What stopped it, told once."""

    def close(self) -> None:
        """Frees it."""


OpenDecoder = Callable[[str, int], Decoder]


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where a plane lies in a buffer: byte offset and row length, and its size in samples."""

    offset: int
    stride: int
    rows: int
    columns: int


class H264Decoder:
    """One GStreamer decoder for as long as a camera plays, whatever sizes and rates come by.

    ``push`` and ``pull`` block while there is no room and no frame; ``close`` releases both, from
    any thread.
    """

    def __init__(self, camera_id: str, origin_ns: int) -> None:
        self._camera_id, self._origin_ns = camera_id, origin_ns - _LEAD_NS
        self._pipeline = launch(
            f"appsrc name=in format=time block=true max-bytes=0 max-buffers=8"
            f" caps={ACCESS_UNIT_CAPS} ! h264parse ! avdec_h264 max-threads=1 max-errors=-1"
            " ! videoconvert n-threads=1 ! video/x-raw,format={I420,Y444}"
            " ! appsink name=out sync=false max-buffers=2"
        )
        self._input = self._pipeline.get_by_name("in")
        self._output = self._pipeline.get_by_name("out")
        self._pipeline.set_state(Gst.State.PLAYING)

    def push(self, unit: AccessUnit) -> bool:
        """Hands in the next access unit; False when the decoder has failed or is closed."""
        whole = Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.META | Gst.BufferCopyFlags.MEMORY
        buffer = unit.buffer.copy_region(whole, 0, unit.buffer.get_size())
        buffer.pts = unit.media_time_ns - self._origin_ns
        buffer.dts = unit.decode_time_ns - self._origin_ns
        return bool(self._input.push_buffer(buffer) == Gst.FlowReturn.OK)

    def end(self) -> None:
        """No more access units; the frames still inside come out."""
        self._input.end_of_stream()

    def pull(self) -> Frame | None:
        """The next frame; None after a short wait, at the end and after a failure."""
        sample = self._output.try_pull_sample(_POLL_NS)
        return None if sample is None else self._frame(sample)

    def is_ended(self) -> bool:
        """True once all frames are out after ``end``."""
        return bool(self._output.is_eos())

    def error(self) -> str | None:
        """What stopped the decoder, in one line, or None. Each error is told once."""
        return first_error(self._pipeline)

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        free(self._pipeline)

    def _frame(self, sample: Any) -> Frame:
        buffer, segment = sample.get_buffer(), sample.get_segment()
        time_ns = segment.to_running_time(Gst.Format.TIME, buffer.pts) + self._origin_ns
        i420 = packed_i420(buffer, sample.get_caps())
        height, width = i420.shape[0] * 2 // 3, i420.shape[1]
        is_corrupt = buffer.has_flags(Gst.BufferFlags.CORRUPTED)
        return Frame(self._camera_id, time_ns, width, height, i420, is_corrupt)


def packed_i420(buffer: Any, caps: Any) -> npt.NDArray[np.uint8]:
    """The only copy of the picture: (height * 3 // 2, width) uint8 without row padding, width and
    height made even by dropping the last column or row.

    The chroma of 4:4:4 is halved here: two by two samples become their mean.
    """
    planes = _planes(buffer, GstVideo.VideoInfo.new_from_caps(caps))
    height, width = planes[0].rows, planes[0].columns
    packed = np.empty((height * 3 // 2, width), np.uint8)
    chroma = packed.reshape(-1)[height * width :].reshape(2, height // 2, width // 2)
    is_mapped, mapped = buffer.map(Gst.MapFlags.READ)
    if not is_mapped:
        raise MemoryError("GStreamer could not map a decoded frame")
    try:
        for target, plane in zip((packed[:height], *chroma), planes, strict=True):
            _copy(_view(mapped.data, plane), target)
    finally:
        buffer.unmap(mapped)
    return packed


def _copy(plane: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8]) -> None:
    if plane.shape == target.shape:
        target[:] = plane
    else:
        cv2.resize(plane, target.shape[::-1], dst=target, interpolation=cv2.INTER_AREA)


def _view(memory: Any, plane: _Plane) -> npt.NDArray[np.uint8]:
    shape, strides = (plane.rows, plane.columns), (plane.stride, 1)
    return np.ndarray(shape, np.uint8, memory, plane.offset, strides)


def _planes(buffer: Any, info: Any) -> tuple[_Plane, _Plane, _Plane]:
    """The decoder's own layout where the buffer carries one, else the format's default."""
    layout = GstVideo.buffer_get_video_meta(buffer) or info
    rows, columns = info.height // 2 * 2, info.width // 2 * 2
    share = 1 if info.finfo.name == "Y444" else 2
    offset, stride = layout.offset, layout.stride
    return (
        _Plane(offset[0], stride[0], rows, columns),
        _Plane(offset[1], stride[1], rows // share, columns // share),
        _Plane(offset[2], stride[2], rows // share, columns // share),
    )
