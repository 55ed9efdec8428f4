"""Lines up frames of several cameras in slots of equal media time. No I/O, threads or clock.

Slot k lies at ``start_ns + k / rate_hz``. A frame belongs to the slot nearest to it, and of several
frames in a slot the nearest one counts. Everything depends on media time alone, so the same
recordings give the same sets however fast or slow they arrive.
"""

import statistics
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from plugins.frames import NS_PER_S, Frame, FrameSet

_INTERVALS_KEPT = 5


@dataclass(frozen=True, slots=True)
class _Held:
    """A frame, its slot, how far it lies from it, and the camera's frame interval by then (0 while
    unknown).
    """

    frame: Frame
    slot: int
    distance_ns: int
    interval_ns: int


@dataclass(slots=True)
class _Lane:
    """One camera: the nearest frame of each slot to come, and that of the last slot gone by."""

    waiting: dict[int, _Held] = field(default_factory=dict)
    passed: _Held | None = None
    newest_ns: int | None = None
    intervals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_INTERVALS_KEPT))
    is_ended: bool = False
    is_late: bool = False


class Synchroniser:
    """Frames in, in order of time per camera; synchronised sets out, in order of slots.

    A slot is complete when every camera has either sent a frame at or after it, or ended. A camera
    slower than ``rate_hz`` repeats its last frame while that is not older than one and a half of
    the camera's own frame intervals. A camera without a frame is absent from the set, and a slot
    without any frame is skipped; its index still counts.

    The first set is at ``start_index`` or later (frames before it only teach how fast a camera is),
    the last before ``end_ns``. ``depth`` is how many slots a camera may be ahead.
    """

    def __init__(
        self,
        camera_ids: Iterable[str],
        start_ns: int,
        rate_hz: float,
        depth: int,
        *,
        start_index: int = 0,
        end_ns: int | None = None,
    ) -> None:
        if rate_hz <= 0 or depth < 1 or start_index < 0:
            raise ValueError("rate_hz and depth must be positive, start_index not negative")
        self._lanes = {camera_id: _Lane() for camera_id in camera_ids}
        self._start_ns, self._end_ns = start_ns, end_ns
        rate, period_units = Fraction(rate_hz).as_integer_ratio()
        self._rate, self._period = rate, period_units * NS_PER_S
        self._depth, self._next = depth, start_index

    @property
    def is_finished(self) -> bool:
        """True when no set can come any more."""
        if self._end_ns is not None and self.slot_time_ns(self._next) >= self._end_ns:
            return True
        return all(
            lane.is_ended and not lane.waiting and self._repeated(lane, self._next) is None
            for lane in self._lanes.values()
        )

    def slot_time_ns(self, index: int) -> int:
        """Media time of a slot, rounded to a nanosecond."""
        return self._start_ns + (2 * index * self._period + self._rate) // (2 * self._rate)

    def slot_of(self, media_time_ns: int) -> int:
        """The slot nearest to a media time; exactly between two, the later. May be negative."""
        doubled = 2 * (media_time_ns - self._start_ns) * self._rate
        return (doubled + self._period) // (2 * self._period)

    def push(self, frame: Frame) -> None:
        """Takes a camera's next frame. One not later than the camera's last is ignored."""
        lane, time_ns = self._lanes[frame.camera_id], frame.media_time_ns
        if lane.newest_ns is not None:
            if time_ns <= lane.newest_ns:
                return
            lane.intervals_ns.append(time_ns - lane.newest_ns)
        lane.newest_ns = time_ns
        slot = self.slot_of(time_ns)
        interval_ns = statistics.median_low(lane.intervals_ns) if lane.intervals_ns else 0
        self._hold(lane, _Held(frame, slot, abs(time_ns - self.slot_time_ns(slot)), interval_ns))

    def end(self, camera_id: str) -> None:
        """The camera sends nothing any more."""
        self._lanes[camera_id].is_ended = True

    def is_full(self, camera_id: str) -> bool:
        """True when the camera is ``depth`` slots ahead and has to wait."""
        waiting = self._lanes[camera_id].waiting
        return bool(waiting) and max(waiting) >= self._next + self._depth

    def give_up_waiting(self) -> list[str]:
        """Declares the cameras late that hold up the next set, and names them. They are absent
        until they have caught up. None is late while no other camera has a frame.
        """
        if not any(lane.waiting for lane in self._lanes.values()):
            return []
        late = [c for c, lane in self._lanes.items() if not self._is_decided(lane)]
        for camera_id in late:
            self._lanes[camera_id].is_late = True
        return late

    def pop(self, arrived_s: float = 0.0) -> FrameSet | None:
        """The next set, or None while a camera is still to decide it and after the last one.
        ``arrived_s`` is the caller's clock, handed on in the set.
        """
        lanes = self._lanes.values()
        while not self.is_finished and all(self._is_decided(lane) for lane in lanes):
            index = self._next
            frames = self._take(index)
            if frames:
                self._next = index + 1
                return FrameSet(index, self.slot_time_ns(index), frames, arrived_s)
            coming = [min(lane.waiting) for lane in lanes if lane.waiting]
            if not coming:
                return None
            self._next = min(coming)
        return None

    def _hold(self, lane: _Lane, held: _Held) -> None:
        """Files a frame with its slot, unless the slot has a nearer one."""
        if held.slot >= self._next:
            lane.is_late = False
            lane.waiting[held.slot] = _nearer(lane.waiting.get(held.slot), held)
        elif lane.passed is None or held.slot >= lane.passed.slot:
            is_same = lane.passed is not None and held.slot == lane.passed.slot
            lane.passed = _nearer(lane.passed if is_same else None, held)

    def _take(self, index: int) -> dict[str, Frame]:
        frames = {}
        for camera_id, lane in self._lanes.items():
            if index in lane.waiting:
                lane.passed = lane.waiting.pop(index)
                frames[camera_id] = lane.passed.frame
            elif (repeated := self._repeated(lane, index)) is not None:
                frames[camera_id] = repeated
        return frames

    def _repeated(self, lane: _Lane, index: int) -> Frame | None:
        """The last frame of a camera slower than the sets, while it is fresh. One per cent of
        slack: a camera at the sets' rate with jitter is not a slower one.
        """
        held = lane.passed
        if held is None or held.interval_ns * self._rate * 100 <= self._period * 101:
            return None
        age_ns = self.slot_time_ns(index) - held.frame.media_time_ns
        return held.frame if 2 * age_ns <= 3 * held.interval_ns else None

    def _is_decided(self, lane: _Lane) -> bool:
        """True when no frame still to come can be the lane's nearest one to the next slot."""
        if lane.is_ended or lane.is_late:
            return True
        return lane.newest_ns is not None and lane.newest_ns >= self.slot_time_ns(self._next)


def _nearer(before: _Held | None, after: _Held) -> _Held:
    return after if before is None or after.distance_ns < before.distance_ns else before
