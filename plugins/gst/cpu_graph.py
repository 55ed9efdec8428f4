"""The source of synchronised sets: one decoder a camera, lined up on media time."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from plugins.frames import NS_PER_S, Frame, FrameSet
from plugins.gst.camera import CameraSource
from plugins.gst.decoder import H264Decoder, OpenDecoder
from plugins.gst.synchroniser import Synchroniser
from plugins.media.timeline import LocalClip

# A resumed task needs the slow cameras' last frames before its first slot, to repeat them.
_LEAD_IN_NS = 2 * NS_PER_S
_END_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class CameraState:
    """One camera so far: frames decoded in the task's range, of which ``corrupt`` are damaged; sets
    that went out without it; what is wrong with its clips, one line each.
    """

    frames: int
    corrupt: int
    missing: int
    problems: tuple[str, ...]
    ended: bool


@dataclass(slots=True)
class _Counts:
    frames: int = 0
    corrupt: int = 0
    missing: int = 0
    ended: bool = False


class CpuGraph:
    """Decodes every camera's clips and yields their synchronised sets.

    Slot k lies at ``start_ns + k / rate_hz``; the first is ``start_index``, all are before
    ``end_ns``. Slots are waited for, so that the sets depend on the recordings alone; only a camera
    that sends nothing for ``patience_s`` while others have frames is left out until it is back.
    ``depth`` slots a camera at most are in memory. ``open_decoder`` makes a camera's decoder from
    its id and the media time it starts at: the CPU's, or a lane of the DeepStream pipeline.
    """

    def __init__(
        self,
        clips: Mapping[str, Iterator[LocalClip]],
        start_ns: int,
        end_ns: int,
        rate_hz: float,
        depth: int = 4,
        *,
        start_index: int = 0,
        patience_s: float = 60.0,
        open_decoder: OpenDecoder = H264Decoder,
    ) -> None:
        self._sync = Synchroniser(
            clips, start_ns, rate_hz, depth, start_index=start_index, end_ns=end_ns
        )
        self._first_index, self._patience_s = start_index, patience_s
        self._changed = threading.Condition()
        self._is_closed = False
        self._counts = {camera_id: _Counts() for camera_id in clips}
        self._late: dict[str, str] = {}
        half_slot_ns = round(NS_PER_S / rate_hz / 2)
        from_ns = self._sync.slot_time_ns(start_index) - half_slot_ns
        if start_index:
            from_ns = max(from_ns - _LEAD_IN_NS, start_ns - half_slot_ns)
        self._cameras = {
            camera_id: CameraSource(
                camera_id,
                own,
                from_ns,
                end_ns,
                on_frame=self._take,
                on_end=self._end,
                open_decoder=open_decoder,
            )
            for camera_id, own in clips.items()
        }
        for camera in self._cameras.values():
            camera.start()

    @property
    def states(self) -> dict[str, CameraState]:
        """How each camera is doing, by id."""
        with self._changed:
            return {camera_id: self._state(camera_id) for camera_id in self._cameras}

    def sets(self) -> Iterator[FrameSet]:
        """Yields the sets in order; ends after the last one, or once the graph is closed."""
        while (frame_set := self._next_set()) is not None:
            yield frame_set

    def close(self) -> None:
        """Stops decoding and frees everything; ``sets`` ends. Any thread may call it, any time."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for camera in self._cameras.values():
            camera.release()
        for camera in self._cameras.values():
            camera.close()

    def _next_set(self) -> FrameSet | None:
        with self._changed:
            while not self._is_closed:
                frame_set = self._sync.pop(time.perf_counter())
                if frame_set is not None:
                    self._hand_out(frame_set)
                    return frame_set
                if self._sync.is_finished:
                    self._changed.wait_for(self._is_over, _END_PATIENCE_S)
                    return None
                if not self._changed.wait(self._patience_s):
                    self._leave_out_late()
            return None

    def _is_over(self) -> bool:
        """True when the cameras have also said what was wrong with their last clips."""
        return self._is_closed or all(counts.ended for counts in self._counts.values())

    def _hand_out(self, frame_set: FrameSet) -> None:
        for camera_id, counts in self._counts.items():
            counts.missing += camera_id not in frame_set.frames
        self._changed.notify_all()

    def _leave_out_late(self) -> None:
        for camera_id in self._sync.give_up_waiting():
            self._late[camera_id] = (
                f"{camera_id}: no frame for {self._patience_s:g} s, so sets go on without it; check"
                " the object store"
            )

    def _take(self, frame: Frame) -> None:
        """Runs in the camera's thread, and keeps it waiting while the camera is far ahead."""
        with self._changed:
            self._sync.push(frame)
            if self._sync.slot_of(frame.media_time_ns) >= self._first_index:
                self._counts[frame.camera_id].frames += 1
                self._counts[frame.camera_id].corrupt += frame.is_corrupt
            self._changed.notify_all()
            while self._sync.is_full(frame.camera_id) and not self._is_closed:
                self._changed.wait()

    def _end(self, camera_id: str) -> None:
        with self._changed:
            self._sync.end(camera_id)
            self._counts[camera_id].ended = True
            self._changed.notify_all()

    def _state(self, camera_id: str) -> CameraState:
        counts = self._counts[camera_id]
        late = (self._late[camera_id],) if camera_id in self._late else ()
        problems = (*self._cameras[camera_id].problems, *late)
        return CameraState(counts.frames, counts.corrupt, counts.missing, problems, counts.ended)
