"""When a synchronised set may go on: as fast as wanted, or paced by its media time.

Stages that run beside each other are joined by ``ahead``; a bounded queue lies in between.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from plugins.frames import NS_PER_S, FrameSet

T = TypeVar("T")
LATE_S = 0.5
STALL_S = 2.0
WAIT_S = 0.25


class Taker(Protocol):
    """Whoever a pace hands sets to: the next stage's queue, or a replay."""

    @property
    def is_closed(self) -> bool:
        """Whether no more are wanted."""

    def put(self, item: FrameSet) -> bool:
        """Takes a set, waiting for room."""

    def put_now(self, item: FrameSet) -> bool:
        """Takes a set if there is room at this moment."""


class Pace:
    """Releases sets at ``speed`` times real time and drops whole sets that come too late.

    A set is due ``media time / speed`` after the first one; it waits until then. When the stage
    behind is still busy, or the set is more than half a second late, it is dropped and counted: a
    live view never lags behind. A source that stood still (a slow object store) stops the clock
    instead, as a player buffers. ``speed`` None releases at once, waits, and drops nothing.

    ``play``, ``pause``, ``change_speed`` and ``run_to`` may be called from any thread. They change
    when a set is released, never which sets there are or in which order.
    """

    def __init__(
        self,
        speed: float | None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.dropped = 0
        self.released: FrameSet | None = None
        self._speed = speed
        self._changed = threading.Event()
        self._clock, self._wait = clock, wait or self._changed.wait
        self._start: tuple[float, int] | None = None
        self._asked = 0.0
        self._is_paused = False
        self._run_to_ns: int | None = None

    @property
    def speed(self) -> float | None:
        """Factor of real time; None is as fast as possible."""
        return self._speed

    @property
    def is_paused(self) -> bool:
        """Whether no set is released at present."""
        return self._is_paused

    @property
    def is_seeking(self) -> bool:
        """Whether sets go by at full speed until a place further on."""
        return self._run_to_ns is not None

    def play(self) -> None:
        """Goes on after a pause."""
        self._is_paused = False
        self._begin_anew()

    def pause(self) -> None:
        """Holds the next set back until ``play``."""
        self._is_paused = True
        self._begin_anew()

    def change_speed(self, speed: float | None) -> None:
        """From the next set on."""
        self._speed = speed
        self._begin_anew()

    def run_to(self, media_time_ns: int) -> None:
        """Drops nothing and waits for nothing until this media time, paused or not."""
        self._run_to_ns = media_time_ns
        self._begin_anew()

    def release(self, sets: Iterable[FrameSet], ahead: Taker) -> None:
        """Puts every set into ``ahead`` at its time; returns at the end or when it was closed."""
        self._asked = self._clock()
        for frame_set in sets:
            self._forgive_stall(self._clock() - self._asked)
            is_in_time = self._await_turn(frame_set.media_time_ns, ahead)
            is_taken = is_in_time and self._hand_on(frame_set, ahead)
            if ahead.is_closed:
                return
            self.dropped += not is_taken
            self.released = frame_set
            self._asked = self._clock()

    def _hand_on(self, frame_set: FrameSet, ahead: Taker) -> bool:
        if self._is_unpaced(frame_set.media_time_ns):
            return ahead.put(frame_set)
        # A recorded set "arrives" when it is due, as a live one would.
        return ahead.put_now(replace(frame_set, arrived_s=time.perf_counter()))

    def _await_turn(self, media_time_ns: int, ahead: Taker) -> bool:
        """Waits until the set is due; whether it is then in time."""
        while not ahead.is_closed:
            self._changed.clear()
            if self._is_unpaced(media_time_ns):
                return True
            wait_s = self._due_in_s(media_time_ns)
            if wait_s <= 0:
                return -wait_s <= LATE_S
            self._wait(min(wait_s, WAIT_S))
        return False

    def _due_in_s(self, media_time_ns: int) -> float:
        speed = self._speed
        if self._is_paused or speed is None:
            return WAIT_S
        began, first_ns = self._start or (self._clock(), media_time_ns)
        self._start = (began, first_ns)
        return began + (media_time_ns - first_ns) / NS_PER_S / speed - self._clock()

    def _is_unpaced(self, media_time_ns: int) -> bool:
        target_ns = self._run_to_ns
        if target_ns is not None and media_time_ns > target_ns:
            self._run_to_ns, self._start = None, None
        return self._run_to_ns is not None or (self._speed is None and not self._is_paused)

    def _forgive_stall(self, stalled_s: float) -> None:
        start = self._start
        if stalled_s > STALL_S and start is not None:
            self._start = (start[0] + stalled_s, start[1])

    def _begin_anew(self) -> None:
        self._start = None
        self._changed.set()


class Ahead(Generic[T]):
    """A bounded queue between two stages; errors travel along. It closes when the reading side
    wants no more, or for all queues of a task at once when ``stop`` is set.
    """

    def __init__(self, depth: int, stop: threading.Event | None = None) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._closed = threading.Event()
        self._stop = stop or self._closed

    @property
    def is_closed(self) -> bool:
        """Whether nobody reads any more."""
        return self._closed.is_set() or self._stop.is_set()

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return self._queue.qsize()

    def put(self, item: T) -> bool:
        """Waits for room; False when the reading side has gone."""
        return self._put(item)

    def put_now(self, item: T) -> bool:
        """False when there is no room at this moment."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def end(self, error: BaseException | None = None) -> None:
        """Nothing follows; ``error`` is raised on the reading side."""
        self._put(_End(error))

    def close(self) -> None:
        """The reading side wants no more."""
        self._closed.set()

    def __iter__(self) -> Iterator[T]:
        """Items until the end."""
        while not self.is_closed:
            try:
                item = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                return
            yield item

    def _put(self, item: "T | _End") -> bool:
        while not self.is_closed:
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def run_ahead(
    source: Callable[[Ahead[T]], None],
    depth: int,
    name: str,
    stop: threading.Event | None = None,
) -> tuple[Ahead[T], threading.Thread]:
    """Runs ``source`` in a thread of its own; it fills the returned queue."""
    ahead: Ahead[T] = Ahead(depth, stop)

    def run() -> None:
        try:
            source(ahead)
        except BaseException as error:  # noqa: BLE001  # raised again on the reading side
            ahead.end(error)
        else:
            ahead.end()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return ahead, thread
