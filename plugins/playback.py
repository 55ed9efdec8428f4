"""When a synchronised set may go on: as fast as wanted, or paced by its media time.

Stages that run beside each other are joined by ``ahead``; a bounded queue lies in between.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Generic, TypeVar

from plugins.frames import NS_PER_S, FrameSet

T = TypeVar("T")
LATE_S = 0.5
STALL_S = 2.0


class Pace:
    """Releases sets at ``speed`` times real time and drops whole sets that come too late.

    A set is due ``media time / speed`` after the first one; it waits until then. When the stage
    behind is still busy, or the set is more than half a second late, it is dropped and counted: a
    live view never lags behind. A source that stood still (a slow object store) stops the clock
    instead, as a player buffers. ``speed`` None releases at once, waits, and drops nothing.
    """

    def __init__(
        self,
        speed: float | None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.dropped = 0
        self._speed = speed
        self._clock, self._wait = clock, wait
        self._start: tuple[float, int] | None = None
        self._asked = 0.0

    def release(self, sets: Iterable[FrameSet], ahead: "Ahead[FrameSet]") -> None:
        """Puts every set into ``ahead`` at its time; returns at the end or when it was closed."""
        self._asked = self._clock()
        for frame_set in sets:
            is_taken = (
                ahead.put(frame_set)
                if self._speed is None
                else self._is_in_time(frame_set, self._speed)
                # A recorded set "arrives" when it is due, as a live one would.
                and ahead.put_now(replace(frame_set, arrived_s=time.perf_counter()))
            )
            if ahead.is_closed:
                return
            self.dropped += not is_taken
            self._asked = self._clock()

    def _is_in_time(self, frame_set: FrameSet, speed: float) -> bool:
        now = self._clock()
        stalled_s = now - self._asked
        if self._start is None:
            self._start = (now, frame_set.media_time_ns)
        elif stalled_s > STALL_S:
            self._start = (self._start[0] + stalled_s, self._start[1])
        began, first_ns = self._start
        due = began + (frame_set.media_time_ns - first_ns) / NS_PER_S / speed
        if due > now:
            self._wait(due - now)
        return now - due <= LATE_S


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
