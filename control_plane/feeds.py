"""One reader per task and stream, many clients: what goes to WebSockets and what gives way.

A ``Feed`` reads a Redis stream once and hands every entry, encoded once, to the ``Outbox`` of each
client. An outbox is bounded: for pictures it holds the newest set alone, for tracking a short run
of updates. A slow client therefore skips; it never delays the feed or another client.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import structlog
from redis.asyncio import Redis

from control_plane.errors import REDIS_AWAY, TaskNotFoundError, redis_away_message
from control_plane.metrics import Metrics
from control_plane.task_state import TaskView
from plugins.errors import DatabaseUnavailableError
from plugins.messages import TERMINAL_STATUSES, frames_stream, tracks_stream

log = structlog.get_logger()
Kind = Literal["tracking", "frames"]
ReadStatus = Callable[[str], Awaitable[TaskView]]

BLOCK_MS = 500
GRACE_MS = 300
RETRY_S = 0.5
WATCH_S = 0.5
STATUS_S = 1.0
REPLIES_KEPT = 32
UPDATES_KEPT = 256
UPDATES_MAX_BYTES = 4 * 1024**2
REPLAY_PAGE = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a stream, ready to send: text for tracking, bytes for pictures."""

    index: int
    data: str | bytes


@dataclass(frozen=True, slots=True)
class Closing:
    """The last thing in an outbox."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class StreamKind:
    """Where a kind of stream lies and how much of it may wait for one client."""

    key: Callable[[str], str]
    field: bytes
    kept: int
    max_bytes: int


STREAMS: dict[Kind, StreamKind] = {
    "tracking": StreamKind(tracks_stream, b"json", UPDATES_KEPT, UPDATES_MAX_BYTES),
    "frames": StreamKind(frames_stream, b"set", 1, 0),
}


def envelope(kind: str, task_id: str, payload: object) -> str:
    """A message as the contract has it; ``payload`` may be msgspec.Raw."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"type": kind, "task_id": task_id, "payload": payload, "timestamp": now}
    return msgspec.json.encode(message).decode()


def error_message(task_id: str, code: str, message: str) -> str:
    """An ``error`` message; the connection stays."""
    return envelope("error", task_id, {"code": code, "message": message})


class Outbox:
    """What waits for one client, in order: replies, data, and at the end the last words.

    At most ``kept`` data messages of together ``max_bytes`` wait (one always may); the oldest
    gives way and is counted in ``skipped``.
    """

    def __init__(self, kept: int, max_bytes: int) -> None:
        self.wants_data = True
        self.skipped = 0
        self._kept, self._max_bytes = kept, max_bytes
        self._replies: deque[str] = deque(maxlen=REPLIES_KEPT)
        self._data: deque[Entry] = deque()
        self._bytes = 0
        self._last: deque[str | Closing] = deque()
        self._changed = asyncio.Event()

    def put(self, entry: Entry) -> None:
        """Queues data; older data gives way."""
        if not self.wants_data:
            return
        self._data.append(entry)
        self._bytes += len(entry.data)
        while len(self._data) > self._kept or (
            self._bytes > self._max_bytes and len(self._data) > 1
        ):
            self._bytes -= len(self._data.popleft().data)
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

    async def get(self) -> str | Entry | Closing:
        """The next thing to send; waits for one."""
        while True:
            if self._replies:
                return self._replies.popleft()
            if self._data:
                entry = self._data.popleft()
                self._bytes -= len(entry.data)
                return entry
            if self._last:
                return self._last.popleft()
            self._changed.clear()
            await self._changed.wait()


class Feed:
    """One stream of one task, read by one coroutine for all clients of this process."""

    def __init__(self, kind: Kind, task_id: str, redis: "Redis", read_status: ReadStatus) -> None:
        self.outboxes: set[Outbox] = set()
        self._kind, self._task_id, self._redis = kind, task_id, redis
        self._read_status = read_status
        self._stream = STREAMS[kind]
        self._newest: Entry | None = None
        self._position = b"0"
        self._is_started = self._is_over = self._is_redis_away = False
        self._final: str | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def is_done(self) -> bool:
        """True when the task has ended and all clients were told."""
        return self._task.done()

    def add(self, outbox: Outbox, *, from_newest: bool) -> None:
        """Delivers to a client from now on, beginning with the newest set unless it resumes."""
        self.outboxes.add(outbox)
        if from_newest and self._newest is not None:
            outbox.put(self._newest)

    def stop(self) -> None:
        """Ends the reader."""
        self._task.cancel()

    async def replay(self, after_index: int) -> list[Entry]:
        """Up to REPLAY_PAGE entries with a greater frame index, oldest first; empty at the end."""
        key, first = self._stream.key(self._task_id), f"{after_index + 2}-0"
        found: Any = await self._redis.xrange(key, min=first, count=REPLAY_PAGE)
        return [self._entry(entry_id, fields) for entry_id, fields in found]

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._read())
                both.create_task(self._watch())
            self._end(self._final, 1000, "task ended")
        except Exception:
            log.exception("feed_failed", task_id=self._task_id, kind=self._kind)
            self._end(None, 1011, "internal error; connect again")

    def _end(self, text: str | None, code: int, reason: str) -> None:
        for outbox in self.outboxes:
            outbox.end(text, code, reason)

    async def _read(self) -> None:
        while not self._is_over:
            try:
                await self._read_once(BLOCK_MS)
            except REDIS_AWAY as error:
                self._announce_away(error)
                await asyncio.sleep(RETRY_S)
        try:
            # What the worker published last may come a moment after its last status.
            while await self._read_once(GRACE_MS):
                pass
        except REDIS_AWAY as error:
            self._announce_away(error)

    async def _read_once(self, block_ms: int) -> bool:
        key = self._stream.key(self._task_id)
        found: Any
        if self._is_started:
            streams = await self._redis.xread({key: self._position}, count=16, block=block_ms)
            found = _entries(streams)
        else:
            found = await self._redis.xrevrange(key, count=1)
            self._is_started = True
        self._is_redis_away = False
        for entry_id, fields in found:
            self._position = entry_id
            self._deliver(self._entry(entry_id, fields))
        return bool(found)

    def _entry(self, entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
        index = int(entry_id.partition(b"-")[0]) - 1
        raw = fields.get(self._stream.field, b"")
        if self._kind == "frames":
            return Entry(index, raw)
        return Entry(index, envelope("tracking_update", self._task_id, msgspec.Raw(raw)))

    def _deliver(self, entry: Entry) -> None:
        self._newest = entry
        for outbox in self.outboxes:
            outbox.put(entry)

    def _announce_away(self, error: Exception) -> None:
        if not self._is_redis_away:
            text = error_message(self._task_id, "redis_unavailable", redis_away_message(error))
            for outbox in self.outboxes:
                outbox.reply(text)
        self._is_redis_away = True

    async def _watch(self) -> None:
        status, said_at = None, 0.0
        while not self._is_over:
            view = await self._view()
            if view is not None:
                is_due = time.monotonic() - said_at >= STATUS_S
                if view.status in TERMINAL_STATUSES:
                    self._final = envelope("status_update", self._task_id, view)
                    self._is_over = True
                elif view.status != status or is_due:
                    status, said_at = view.status, time.monotonic()
                    self._say(envelope("status_update", self._task_id, view))
            await asyncio.sleep(0 if self._is_over else WATCH_S)

    def _say(self, text: str) -> None:
        for outbox in self.outboxes:
            outbox.reply(text)

    async def _view(self) -> TaskView | None:
        try:
            return await self._read_status(self._task_id)
        except (DatabaseUnavailableError, TaskNotFoundError):
            return None


def _entries(streams: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """XREAD's answer is a list of pairs in RESP2 and a mapping in RESP3."""
    if not streams:
        return []
    if isinstance(streams, dict):
        (batches,) = streams.values()
        return [entry for batch in batches for entry in batch]
    return list(streams[0][1])


class LiveHub:
    """The feeds of this process; each lives as long as it has clients."""

    def __init__(self, redis: "Redis", read_status: ReadStatus, metrics: Metrics) -> None:
        self._redis, self._read_status, self._metrics = redis, read_status, metrics
        self._feeds: dict[tuple[Kind, str], Feed] = {}

    @contextmanager
    def subscribed(
        self, kind: Kind, task_id: str, outbox: Outbox, *, from_newest: bool
    ) -> Iterator[Feed]:
        """The feed of a task, delivering to ``outbox`` inside the block."""
        feed = self._feeds.get((kind, task_id))
        if feed is None or feed.is_done:
            feed = self._feeds[kind, task_id] = Feed(kind, task_id, self._redis, self._read_status)
        feed.add(outbox, from_newest=from_newest)
        self._metrics.clients.labels(kind).inc()
        try:
            yield feed
        finally:
            self._metrics.clients.labels(kind).dec()
            self._metrics.skipped.labels(kind).inc(outbox.skipped)
            feed.outboxes.discard(outbox)
            if not feed.outboxes:
                feed.stop()
                if self._feeds.get((kind, task_id)) is feed:
                    del self._feeds[kind, task_id]

    def close(self) -> None:
        """Ends every feed."""
        for feed in self._feeds.values():
            feed.stop()
