"""One reader per task and stream, many clients: a feed hands every entry to every outbox.

A feed reads the task's live stream and the stream of its replay; while a replay is on, that is what
viewers get. Entries are rendered for viewers when they are sent (``renderings``).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from control_plane.errors import REDIS_AWAY, redis_away_message
from control_plane.health.metrics import Metrics
from control_plane.streaming.focus_state import Focus, clear_focus, set_focus
from control_plane.streaming.outboxes import Data, Outbox
from control_plane.streaming.renderings import PicturesEntry, UpdateEntry, error_message
from control_plane.streaming.watches import Glance, ReadStatus, TaskWatch
from plugins.messages import (
    Playback,
    frames_stream,
    replay_frames_stream,
    replay_tracks_stream,
    tracks_stream,
)

log = structlog.get_logger()
Kind = Literal["tracking", "frames"]
FeedKey = tuple[Kind, str, bool]  # with the task, and whether it outlives its end
Fields = dict[bytes, bytes]
Batch = tuple[str, list[tuple[bytes, Fields]]]

BLOCK_MS = 500
GRACE_MS = 300
RETRY_S = 0.5
ANSWER_S = 5.0
STATUS_S = 1.0
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
        streams: "Redis",
        watch: TaskWatch,
        *,
        stays: bool,
    ) -> None:
        self.watch = watch
        self.outboxes: set[Outbox] = set()
        self.gaps = 0  # how often entries may have been lost
        self._task_id, self._streams = task_id, streams
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
        self._replay_heard_at = 0.0
        self._final: str | None = None
        self._task = asyncio.create_task(self._run())
        watch.add(self)

    @property
    def is_done(self) -> bool:
        """True when it was stopped, or the task has ended and all clients were told."""
        return self._is_stopped or self._task.done()

    @property
    def focus(self) -> dict[str, str]:
        """Whom each viewer follows."""
        return self.watch.focus

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
        self.watch.watchers.discard(self)
        self._is_stopped = True
        self._task.cancel()

    def fail(self) -> None:
        """Sends everybody away."""
        self._end(None, 1011, "internal error; connect again")
        self.stop()

    def notice(self, glance: Glance) -> None:
        """How the task goes, from its watch."""
        if not self._is_over:
            self._tell(glance)
            self._show(glance)

    async def replay(self, after_index: int) -> list[Data]:
        """Up to REPLAY_PAGE entries with a greater frame index, oldest first; empty at the end."""
        async with time_limit():
            found: Any = await self._streams.xrange(
                self._live_key, min=f"{after_index + 2}-0", count=REPLAY_PAGE
            )
        return [self._entry(self._live_key, entry_id, fields) for entry_id, fields in found]

    async def _run(self) -> None:
        try:
            await self._read()
            self._end(self._final, 1000, "task ended")
        except Exception:
            log.exception("feed_failed", task_id=self._task_id)
            self.fail()

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
        async with time_limit():
            if not self._positions:
                await self._read_newest()
            positions: Any = self._positions
            batches = _batches(await self._streams.xread(positions, count=16, block=block_ms))
        self._is_redis_away = False
        for key, entries in batches:
            for entry_id, fields in entries:
                self._positions[key] = entry_id
                self._take(key, entry_id, fields)
        return bool(batches)

    async def _read_newest(self) -> None:
        positions = {}
        for key in (self._live_key, self._replay_key):
            found: Any = await self._streams.xrevrange(key, count=1)
            positions[key] = found[0][0] if found else b"0"
            if found and self._stream.field in found[0][1]:
                entry = self._entry(key, *found[0])
                if key == self._live_key:
                    self._deliver_live(entry)
                else:
                    self._newest_replay = entry
                    if self._is_replaying:  # the watch was quicker: this set is still to be shown
                        self._put(entry)
        self._positions = positions

    def _take(self, key: str, entry_id: bytes, fields: Fields) -> None:
        if key == self._live_key:
            self._deliver_live(self._entry(key, entry_id, fields))
            return
        self._replay_heard_at = time.monotonic()
        if self._stream.field in fields:
            self._is_replaying = True
            self._newest_replay = self._entry(key, entry_id, fields)
            self._put(self._newest_replay)
            return
        if error := fields.get(b"over", b"").decode():
            self._say(error_message(self._task_id, "replay_failed", error))
        self._turn_to_live()
        self._newest_replay = None

    def _deliver_live(self, entry: Data) -> None:
        self._newest = entry
        if not self._is_replaying:
            self._put(entry)

    def _turn_to_live(self) -> None:
        if self._is_replaying and self._newest is not None:
            self._put(self._newest)
        self._is_replaying = False

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

    def _tell(self, glance: Glance) -> None:
        if glance.has_ended and not (self._stays or glance.is_replay):
            self._final, self._is_over = glance.text, True
            return
        status = (glance.view.status, buttons_of(glance.view.playback))
        is_due = time.monotonic() - self._said_at >= STATUS_S
        if status != self._status or (is_due and not (glance.has_ended and not glance.is_replay)):
            self._status, self._said_at = status, time.monotonic()
            self._say(glance.text)

    def _show(self, glance: Glance) -> None:
        """Turns to a replay that has begun, and away from one whose process has died, or of which
        nothing is known while services are away: then its last set is shown again afterwards.

        What was asked before the replay was last heard of is out of date.
        """
        if glance.asked_at < self._replay_heard_at:
            return
        if self._is_replaying and not glance.is_replay and not self._is_redis_away:
            self._turn_to_live()
        elif glance.is_replay and not self._is_replaying:
            self._is_replaying = True
            if self._newest_replay is not None:  # it may stand still for long
                self._put(self._newest_replay)

    def _say(self, text: str) -> None:
        for outbox in self.outboxes:
            outbox.reply(text)


def buttons_of(playback: Playback | None) -> object:
    """What of a playback's state is worth telling at once."""
    if playback is None:
        return None
    return (playback.mode, playback.state, playback.speed, playback.last_transition_at)


@asynccontextmanager
async def time_limit() -> AsyncIterator[None]:
    """Redis has to answer within it; else its TimeoutError, and the connection is given up."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError as error:
        raise RedisTimeoutError(f"no answer within {ANSWER_S:g} s") from error


def _batches(streams: Any) -> list[Batch]:
    """XREAD's answer, as RESP2 has it: pairs, or nothing."""
    return [(key.decode(), list(entries)) for key, entries in streams or ()]


class LiveHub:
    """The feeds of this process and their watches; each lives as long as it has clients."""

    def __init__(
        self, redis: "Redis", streams: "Redis", read_status: ReadStatus, metrics: Metrics
    ) -> None:
        self._redis, self._streams = redis, streams
        self._read_status, self._metrics = read_status, metrics
        self._feeds: dict[FeedKey, Feed] = {}
        self._watches: dict[str, TaskWatch] = {}

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
            watch = self._watch(task_id)
            feed = self._feeds[key] = Feed(kind, task_id, self._streams, watch, stays=stays)
        feed.add(outbox, from_newest=from_newest)
        self._metrics.clients.labels(kind).inc()
        try:
            yield feed
        finally:
            self._metrics.clients.labels(kind).dec()
            self._metrics.skipped.labels(kind).inc(outbox.skipped)
            feed.outboxes.discard(outbox)
            if not feed.outboxes:
                self._leave(key, feed)

    def _watch(self, task_id: str) -> TaskWatch:
        watch = self._watches.get(task_id)
        if watch is None or watch.is_done:
            watch = TaskWatch(task_id, self._redis, self._read_status)
            self._watches[task_id] = watch
        return watch

    def _leave(self, key: FeedKey, feed: Feed) -> None:
        feed.stop()
        if self._feeds.get(key) is feed:
            del self._feeds[key]
        if not feed.watch.watchers:
            feed.watch.stop()
            if self._watches.get(key[1]) is feed.watch:
                del self._watches[key[1]]

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
        if task_id in self._watches:
            self._watches[task_id].show_focus(viewer, global_id)

    def delivery(self) -> tuple[int, int]:
        """Of all data offered to the clients there are: how much, and how much was skipped."""
        outboxes = [outbox for feed in self._feeds.values() for outbox in feed.outboxes]
        return sum(o.offered for o in outboxes), sum(o.skipped for o in outboxes)

    async def close(self) -> None:
        """Ends every feed, and gives the connections back that they read from."""
        for key, feed in list(self._feeds.items()):
            self._leave(key, feed)
        await self._streams.aclose()
