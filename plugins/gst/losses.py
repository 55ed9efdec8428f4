"""Which pictures went into a decoder and never came out, and what that does to those after them."""

import heapq
import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class _Fed:
    media_time_ns: int
    is_key: bool = field(compare=False)
    clip_key: str = field(compare=False)


class LossCount:
    """Compares what is fed, in decoding order, with what is decoded, in order of media time.

    Decoders drop damaged pictures silently; one that comes out with a later time than a missing one
    proves the loss. Fed and decoded may be told from different threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: list[_Fed] = []
        self._fed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._is_damaged = False

    def fed(self, media_time_ns: int, is_key: bool, clip_key: str) -> None:
        """A picture of a clip is about to go in."""
        with self._lock:
            heapq.heappush(self._inside, _Fed(media_time_ns, is_key, clip_key))
            self._fed[clip_key] += 1

    def decoded(self, media_time_ns: int) -> bool:
        """A picture came out. True when it may show damage: one before it was lost, and no key
        frame has come since.
        """
        with self._lock:
            while self._inside and self._inside[0].media_time_ns <= media_time_ns:
                unit = heapq.heappop(self._inside)
                is_lost = unit.media_time_ns < media_time_ns
                self._lost[unit.clip_key] += is_lost
                self._is_damaged = is_lost or (self._is_damaged and not unit.is_key)
            return self._is_damaged

    def drained(self) -> None:
        """The decoder is empty: what is still missing is lost."""
        with self._lock:
            self._lost.update(unit.clip_key for unit in self._inside)
            self._inside.clear()

    def forget(self, clip_key: str) -> None:
        """The decoder was thrown away with what was inside; this clip is reported as broken."""
        with self._lock:
            self._inside.clear()
            del self._lost[clip_key]
            self._is_damaged = False

    def problems(self) -> list[str]:
        """One line for each clip with losses."""
        with self._lock:
            return [
                f"{key}: {lost} of {self._fed[key]} frames are damaged and could not be decoded; "
                "upload the file again"
                for key, lost in self._lost.items()
                if lost
            ]
