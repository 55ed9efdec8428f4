"""One camera's way through the pipeline, used as ``gst/decoder.py``'s H264Decoder is."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

from plugins.deepstream.inferred import InferredFrame
from plugins.deepstream.metadata import People
from plugins.frames import Frame
from plugins.gst.decoder import packed_i420
from plugins.gst.demux import AccessUnit
from plugins.gst.gstreamer import Gst

_POLL_NS = 50 * Gst.MSECOND
_JPEG_WAIT_NS = 2 * Gst.SECOND
# Timestamps count from well before the first frame: a key frame may lie long before it.
_LEAD_NS = 24 * 3600 * Gst.SECOND
# More than a decoder holds back (16 references) and the stages behind it queue; at 1080p 3 MB each.
MOST_IN_FLIGHT = 40
_STUCK_S = 5.0


class Running(Protocol):
    """The pipeline a lane belongs to."""

    def element(self, name: str) -> Any:
        """An element by name."""

    def error(self) -> str | None:
        """What stopped the pipeline, in one line; the same answer to every lane."""


class InFlight:
    """How many pictures were fed and are not out yet. ``add`` waits while there are ``limit``.

    One that comes out proves that those before it are gone, lost ones included. Were the limit
    anywhere behind the multiplexer, a camera that is ahead would stop the batches of the others.
    """

    def __init__(self, limit: int = MOST_IN_FLIGHT, stuck_s: float = _STUCK_S) -> None:
        self._limit, self._stuck_s = limit, stuck_s
        self._inside: set[int] = set()
        self._changed = threading.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        """Pictures inside."""
        return len(self._inside)

    def add(self, pts_ns: int) -> bool:
        """False once closed. After ``stuck_s`` without any picture the ones inside count as lost:
        a decoder drops damaged ones silently.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_room, self._stuck_s):
                self._inside.clear()
            self._inside.add(pts_ns)
            return not self._is_closed

    def out(self, pts_ns: int) -> None:
        """A picture came out."""
        with self._changed:
            self._inside = {pts for pts in self._inside if pts > pts_ns}
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._is_closed or len(self._inside) < self._limit


class Lane:
    """Access units of one camera in, frames with their results out; media time is kept.

    ``push`` and ``pull`` block while there is no room and no frame; ``close`` releases both.
    """

    def __init__(
        self, running: Running, camera_id: str, origin_ns: int, on_close: Callable[[str], None]
    ) -> None:
        self._running, self._camera_id = running, camera_id
        self._origin_ns, self._on_close = origin_ns - _LEAD_NS, on_close
        self._input = running.element(f"in-{camera_id}")
        self._pictures = running.element(f"pictures-{camera_id}")
        self._jpegs = running.element(f"jpegs-{camera_id}")
        self._in_flight = InFlight()
        self._people_lock = threading.Lock()
        self._people: dict[int, People] = {}
        self._next_jpeg: tuple[int, bytes] | None = None
        self._jpeg_wait_ns = _JPEG_WAIT_NS
        self._was_error_told = False
        self._is_closed = False

    def push(self, unit: AccessUnit) -> bool:
        """Hands in the next access unit; False when the pipeline has failed or is closed."""
        pts_ns = unit.media_time_ns - self._origin_ns
        if not self._in_flight.add(pts_ns) or self._running.error() is not None:
            return False
        whole = Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.META | Gst.BufferCopyFlags.MEMORY
        buffer = unit.buffer.copy_region(whole, 0, unit.buffer.get_size())
        buffer.pts, buffer.dts = pts_ns, unit.decode_time_ns - self._origin_ns
        return bool(self._input.push_buffer(buffer) == Gst.FlowReturn.OK)

    def end(self) -> None:
        """No more access units; the frames still inside come out."""
        self._input.end_of_stream()

    def take(self, pts_ns: int, people: People) -> None:
        """What the probe saw of one picture; called before the picture itself arrives."""
        with self._people_lock:
            self._people[pts_ns] = people

    def pull(self) -> Frame | None:
        """The next frame with its results; None after a short wait, at the end and on failure."""
        if self._is_closed:
            return None
        sample = self._pictures.try_pull_sample(_POLL_NS)
        if sample is None:
            return None
        pts_ns = int(sample.get_buffer().pts)
        self._in_flight.out(pts_ns)
        return self._frame(sample, pts_ns)

    def is_ended(self) -> bool:
        """True once all frames are out after ``end``, or the lane is closed."""
        return self._is_closed or bool(self._pictures.is_eos())

    def error(self) -> str | None:
        """What stopped the pipeline, told once."""
        if self._was_error_told or self._is_closed:
            return None
        error = self._running.error()
        self._was_error_told = error is not None
        return error

    def close(self) -> None:
        """Gives the lane up; safe to call twice. The last one of a pipeline frees it."""
        if not self._is_closed:
            self._is_closed = True
            self._in_flight.close()
            self._on_close(self._camera_id)

    def _frame(self, sample: Any, pts_ns: int) -> InferredFrame:
        buffer = sample.get_buffer()
        i420 = packed_i420(buffer, sample.get_caps())
        people = self._people_at(pts_ns)
        frame = InferredFrame(
            self._camera_id,
            pts_ns + self._origin_ns,
            i420.shape[1],
            i420.shape[0] * 2 // 3,
            i420,
            buffer.has_flags(Gst.BufferFlags.CORRUPTED),
            jpeg=self._jpeg_at(pts_ns),
        )
        return frame if people is None else frame.with_people(people)

    def _people_at(self, pts_ns: int) -> People | None:
        with self._people_lock:
            for old in [pts for pts in self._people if pts < pts_ns]:
                del self._people[old]
            return self._people.pop(pts_ns, None)

    def _jpeg_at(self, pts_ns: int) -> bytes:
        """The picture's JPEG; empty where the encoder gave none, and the CPU makes it then."""
        while self._next_jpeg is None or self._next_jpeg[0] < pts_ns:
            sample = self._jpegs.try_pull_sample(self._jpeg_wait_ns)
            # An encoder that gives nothing is waited for once, not at every picture.
            self._jpeg_wait_ns = 0 if sample is None else _JPEG_WAIT_NS
            if sample is None:
                return b""
            buffer = sample.get_buffer()
            self._next_jpeg = int(buffer.pts), buffer.extract_dup(0, buffer.get_size())
        return self._next_jpeg[1] if self._next_jpeg[0] == pts_ns else b""
