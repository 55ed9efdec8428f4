"""What waits for one client, and when it has to take less.

An outbox is bounded: for pictures it holds the newest set alone, for tracking a short run of
updates. A slow client therefore skips; it never delays a feed or another client.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from control_plane.streaming.renderings import PicturesEntry, UpdateEntry

REPLIES_KEPT = 32
Data = UpdateEntry | PicturesEntry


@dataclass(frozen=True, slots=True)
class Closing:
    """The last thing in an outbox."""

    code: int
    reason: str


class Outbox:
    """What waits for one client, in order: replies, data, and at the end the last words.

    At most ``kept`` data messages of together ``max_bytes`` wait (one always may); the oldest
    gives way and is counted in ``skipped``. Of live data every ``divisor``-th set is wanted.
    """

    def __init__(self, kept: int, max_bytes: int) -> None:
        self.wants_data = True
        self.divisor = 1
        self.skipped = self.offered = 0
        self._kept, self._max_bytes = kept, max_bytes
        self._replies: deque[str] = deque(maxlen=REPLIES_KEPT)
        self._data: deque[Data] = deque()
        self._bytes = 0
        self._last: deque[str | Closing] = deque()
        self._changed = asyncio.Event()

    def put(self, entry: Data) -> None:
        """Queues data; older data gives way."""
        if not self.wants_data or (entry.index % self.divisor and not entry.is_replay):
            return
        self.offered += 1
        self._data.append(entry)
        self._bytes += len(entry.raw)
        while len(self._data) > self._kept or (
            self._bytes > self._max_bytes and len(self._data) > 1
        ):
            self._bytes -= len(self._data.popleft().raw)
            self.skipped += 1
        self._changed.set()

    def forget_data(self) -> None:
        """Drops the data that waits: the client wants no more of it."""
        self._data.clear()
        self._bytes = 0

    def reply(self, text: str) -> None:
        """Queues an answer ahead of the data."""
        self._replies.append(text)
        self._changed.set()

    def end(self, text: str | None, code: int, reason: str) -> None:
        """Says ``text`` after all data, then closes. Nothing comes after it."""
        if not self._last:
            self._last.extend([text] if text else [])
            self._last.append(Closing(code, reason))
            self._changed.set()

    async def get(self) -> str | Data | Closing:
        """The next thing to send; waits for one."""
        while True:
            if self._replies:
                return self._replies.popleft()
            if self._data:
                entry = self._data.popleft()
                self._bytes -= len(entry.raw)
                return entry
            if self._last:
                return self._last.popleft()
            self._changed.clear()
            await self._changed.wait()
