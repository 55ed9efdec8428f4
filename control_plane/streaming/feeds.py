"""One reader per task and stream, many clients: a feed hands every entry to every outbox.

A feed reads the task's live stream and the stream of its replay; while a replay is on, that is what
viewers get. Entries are rendered for viewers when they are sent (``renderings``).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from control_plane.errors import REDIS_AWAY, TaskNotFoundError, redis_away_message
from control_plane.health.metrics import Metrics
from control_plane.streaming.focus_state import Focus, clear_focus, read_all_focus, set_focus
from control_plane.streaming.outboxes import Data, Outbox
from control_plane.streaming.renderings import PicturesEntry, UpdateEntry, envelope, error_message
from control_plane.task_state import TaskView
from plugins.errors import DatabaseUnavailableError
from plugins.messages import (
    TERMINAL_STATUSES,
    Playback,
    frames_stream,
    replay_frames_stream,
    replay_tracks_stream,
    tracks_stream,
    watched_key,
)

log = structlog.get_logger()
Kind = Literal["tracking", "frames"]
ReadStatus = Callable[[str], Awaitable[TaskView]]
Fields = dict[bytes, bytes]
Batch = tuple[str, list[tuple[bytes, Fields]]]

BLOCK_MS = 500
GRACE_MS = 300
RETRY_S = 0.5
WATCH_S = 0.5
STATUS_S = 1.0
WATCHED_S = 30
UPDATES_KEPT = 256
UPDATES_MAX_BYTES = 4 * 1024**2
REPLAY_PAGE = 100


@dataclass(frozen=True, slots=True)
class StreamKind:
    """Where a kind of stream lies and how much of it may wait for one client."""

    key: Callable[[str], str]
    replay_key: Callable[[str], str]
    field: bytes
    kept: int
    max_bytes: int
    entry: type[UpdateEntry] | type[PicturesEntry]


STREAMS: dict[Kind, StreamKind] = {
    "tracking": StreamKind(
        tracks_stream, replay_tracks_stream, b"json", UPDATES_KEPT, UPDATES_MAX_BYTES, UpdateEntry
    ),
    "frames": StreamKind(frames_stream, replay_frames_stream, b"set", 1, 0, PicturesEntry),
}


class Feed:
    """One kind of stream of one task, read by one coroutine for all clients of this process.

    With ``stays`` it outlives the task's end, so that its clients can have it replayed.
    """

    def __init__(
        self,
        kind: Kind,
        task_id: str,
        redis: "Redis",
        read_status: ReadStatus,
        *,
        stays: bool,
    ) -> None:
        self.outboxes: set[Outbox] = set()
        self.focus: dict[str, str] = {}
        self.gaps = 0  # how often entries may have been lost
        self._task_id, self._redis, self._read_status = task_id, redis, read_status
        self._stream, self._stays = STREAMS[kind], stays
        self._live_key = self._stream.key(task_id)
        self._replay_key = self._stream.replay_key(task_id)
        self._newest: Data | None = None
        self._newest_replay: Data | None = None
        self._positions: dict[str, bytes] = {}
        self._is_over = self._is_redis_away = self._is_replaying = False
        self._is_stopped = False
        self._status: tuple[str, object] | None = None
        self._said_at = 0.0
        self._final: str | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def is_done(self) -> bool:
        """True when the task has ended and all clients were told."""
        return self._task.done()

    @property
    def newest(self) -> Data | None:
        """The newest live set."""
        return self._newest

    def add(self, outbox: Outbox, *, from_newest: bool) -> None:
        """Delivers to a client from now on, beginning with the newest set unless it resumes."""
        self.outboxes.add(outbox)
        newest = (self._is_replaying and self._newest_replay) or self._newest
        if from_newest and newest:
            outbox.put(newest)

    def stop(self) -> None:
        """Ends the reader, also one that takes the cancellation for a time-out of Redis."""
        self._is_stopped = True
        self._task.cancel()

    async def replay(self, after_index: int) -> list[Data]:
        """Up to REPLAY_PAGE entries with a greater frame index, oldest first; empty at the end."""
        found: Any = await self._redis.xrange(
            self._live_key, min=f"{after_index + 2}-0", count=REPLAY_PAGE
        )
        return [self._entry(self._live_key, entry_id, fields) for entry_id, fields in found]

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._read())
                both.create_task(self._watch())
            self._end(self._final, 1000, "task ended")
        except Exception:
            log.exception("feed_failed", task_id=self._task_id)
            self._end(None, 1011, "internal error; connect again")

    def _end(self, text: str | None, code: int, reason: str) -> None:
        for outbox in self.outboxes:
            outbox.end(text, code, reason)

    async def _read(self) -> None:
        while not (self._is_over or self._is_stopped):
            try:
                await self._read_once(BLOCK_MS)
            except REDIS_AWAY as error:
                self._announce_away(error)
                await asyncio.sleep(RETRY_S)
        try:
            # What the worker published last may come a moment after its last status.
            while not self._is_stopped and await self._read_once(GRACE_MS):
                pass
        except REDIS_AWAY as error:
            self._announce_away(error)

    async def _read_once(self, block_ms: int) -> bool:
        if not self._positions:
            await self._read_newest()
        positions: Any = self._positions
        batches = _batches(await self._redis.xread(positions, count=16, block=block_ms))
        self._is_redis_away = False
        for key, entries in batches:
            for entry_id, fields in entries:
                self._positions[key] = entry_id
                self._take(key, entry_id, fields)
        return bool(batches)

    async def _read_newest(self) -> None:
        positions = {}
        for key in (self._live_key, self._replay_key):
            found: Any = await self._redis.xrevrange(key, count=1)
            positions[key] = found[0][0] if found else b"0"
            if found and self._stream.field in found[0][1]:
                entry = self._entry(key, *found[0])
                if key == self._live_key:
                    self._deliver_live(entry)
                else:
                    self._newest_replay = entry
        self._positions = positions

    def _take(self, key: str, entry_id: bytes, fields: Fields) -> None:
        if key == self._live_key:
            self._deliver_live(self._entry(key, entry_id, fields))
        elif self._stream.field in fields:
            self._is_replaying = True
            self._newest_replay = self._entry(key, entry_id, fields)
            self._put(self._newest_replay)
        else:
            self._end_replay(fields.get(b"over", b"").decode())

    def _deliver_live(self, entry: Data) -> None:
        self._newest = entry
        if not self._is_replaying:
            self._put(entry)

    def _end_replay(self, error: str) -> None:
        if error:
            self._say(error_message(self._task_id, "replay_failed", error))
        if self._is_replaying and self._newest is not None:
            self._put(self._newest)
        self._is_replaying, self._newest_replay = False, None

    def _put(self, entry: Data) -> None:
        for outbox in self.outboxes:
            outbox.put(entry)

    def _entry(self, key: str, entry_id: bytes, fields: Fields) -> Data:
        raw, is_replay = fields.get(self._stream.field, b""), key == self._replay_key
        # A replay's ids are times: they go on when it jumps back.
        index = int(entry_id.partition(b"-")[0]) - (0 if is_replay else 1)
        return self._stream.entry(index, raw, self._task_id, is_replay=is_replay)

    def _announce_away(self, error: Exception) -> None:
        if not self._is_redis_away:
            self.gaps += 1
            self._say(error_message(self._task_id, "redis_unavailable", redis_away_message(error)))
        self._is_redis_away = True

    async def _watch(self) -> None:
        while not (self._is_over or self._is_stopped):
            view = await self._view()
            if view is not None:
                self._tell(view)
                await self._look_after(view.playback)
            await asyncio.sleep(0 if self._is_over else WATCH_S)

    def _tell(self, view: TaskView) -> None:
        text = envelope("status_update", self._task_id, view)
        is_replay = view.playback is not None and view.playback.mode == "replay"
        has_ended = view.status in TERMINAL_STATUSES
        if has_ended and not (self._stays or is_replay):
            self._final, self._is_over = text, True
            return
        status = (view.status, buttons_of(view.playback))
        is_due = time.monotonic() - self._said_at >= STATUS_S
        if status != self._status or (is_due and not (has_ended and not is_replay)):
            self._status, self._said_at = status, time.monotonic()
            self._say(text)

    async def _look_after(self, playback: Playback | None) -> None:
        """Tells a replay that it is watched, and learns whom the viewers follow."""
        is_replay = playback is not None and playback.mode == "replay"
        with suppress(RedisError):
            if is_replay:
                await self._redis.set(watched_key(self._task_id), 1, ex=WATCHED_S)
            self.focus = await read_all_focus(self._redis, self._task_id)
        if self._is_replaying and not is_replay and not self._is_redis_away:
            self._end_replay("")  # its process has died
        elif is_replay and not self._is_replaying:
            self._is_replaying = True
            if self._newest_replay is not None:  # it may stand still for long
                self._put(self._newest_replay)

    def _say(self, text: str) -> None:
        for outbox in self.outboxes:
            outbox.reply(text)

    async def _view(self) -> TaskView | None:
        try:
            return await self._read_status(self._task_id)
        except (DatabaseUnavailableError, TaskNotFoundError):
            return None


def buttons_of(playback: Playback | None) -> object:
    """What of a playback's state is worth telling at once."""
    if playback is None:
        return None
    return (playback.mode, playback.state, playback.speed, playback.last_transition_at)


def _batches(streams: Any) -> list[Batch]:
    """XREAD's answer, as RESP2 has it: pairs, or nothing."""
    return [(key.decode(), list(entries)) for key, entries in streams or ()]


class LiveHub:
    """The feeds of this process; each lives as long as it has clients."""

    def __init__(self, redis: "Redis", read_status: ReadStatus, metrics: Metrics) -> None:
        self._redis, self._read_status, self._metrics = redis, read_status, metrics
        self._feeds: dict[tuple[Kind, str, bool], Feed] = {}

    @contextmanager
    def subscribed(
        self,
        kind: Kind,
        task_id: str,
        outbox: Outbox,
        *,
        from_newest: bool = True,
        stays: bool = False,
    ) -> Iterator[Feed]:
        """The feed of a task, delivering to ``outbox`` inside the block."""
        key = (kind, task_id, stays)
        feed = self._feeds.get(key)
        if feed is None or feed.is_done:
            feed = self._feeds[key] = Feed(
                kind, task_id, self._redis, self._read_status, stays=stays
            )
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
                if self._feeds.get(key) is feed:
                    del self._feeds[key]

    async def follow(self, task_id: str, viewer: str, global_id: str) -> Focus:
        """Remembers whom a viewer follows. RedisError without Redis."""
        focus = await set_focus(self._redis, task_id, viewer, global_id)
        self.show_focus(task_id, viewer, global_id)
        return focus

    async def unfollow(self, task_id: str, viewer: str) -> None:
        """Forgets it. RedisError without Redis."""
        await clear_focus(self._redis, task_id, viewer)
        self.show_focus(task_id, viewer, None)

    def show_focus(self, task_id: str, viewer: str, global_id: str | None) -> None:
        """A viewer's choice takes effect here at once; other processes read it within a second."""
        for (_, of_task, _), feed in self._feeds.items():
            if of_task == task_id:
                others = {v: g for v, g in feed.focus.items() if v != viewer}
                feed.focus = others | ({} if global_id is None else {viewer: global_id})

    def delivery(self) -> tuple[int, int]:
        """Of all data offered to the clients there are: how much, and how much was skipped."""
        outboxes = [outbox for feed in self._feeds.values() for outbox in feed.outboxes]
        return sum(o.offered for o in outboxes), sum(o.skipped for o in outboxes)

    def close(self) -> None:
        """Ends every feed."""
        for feed in self._feeds.values():
            feed.stop()
