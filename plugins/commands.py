"""What viewers want of a running task, obeyed at once, and how it plays, told a few times a second.

Commands change the pace alone: every set is processed, in order, so that nobody's identity depends
on who paused, sped up or looked ahead.
"""

import threading
import time
from typing import Any

import msgspec
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from plugins.frames import NS_PER_S
from plugins.media_time import to_rfc3339
from plugins.messages import (
    Playback,
    PlaybackCommand,
    commands_list,
    frames_stream,
    playback_key,
    tracks_stream,
)
from plugins.playback import Pace

log = structlog.get_logger()
POLL_S = 0.25
RETRY_S = 0.5
SHORTEST_WAIT_S = 0.005
TIMEOUT_S = 2.0
KEPT_S = 3600


class PlaybackDesk:
    """A pace with its buttons: obeys commands, describes itself. ``start_ns`` and ``end_ns`` are
    the media-time range that is played; ``stop`` is set by the command of that name.
    """

    def __init__(self, pace: Pace, start_ns: int, end_ns: int, stop: threading.Event) -> None:
        self._pace, self._start_ns, self._end_ns, self._stop = pace, start_ns, end_ns, stop
        self._last: PlaybackCommand | None = None
        self._changed_at: str | None = None
        self._error: str | None = None

    def obey(self, command: PlaybackCommand) -> None:
        """Does it; what cannot be done is said in the description's ``error``."""
        self._last, self._error = command, None
        self._changed_at = to_rfc3339(time.time_ns())
        match command.type:
            case "play":
                self._pace.play()
            case "pause":
                self._pace.pause()
            case "speed":
                self._pace.change_speed(command.speed)
            case "seek":
                self._seek(command.time_ns or self._start_ns)
            case "stop":
                self._stop.set()

    def _seek(self, time_ns: int) -> None:
        newest = self._pace.released
        if newest is not None and time_ns <= newest.media_time_ns:
            self._error = "that moment has been played: it is shown from what is stored"
            return
        self._pace.run_to(time_ns)

    def describe(self) -> Playback:
        """How it plays at this moment."""
        newest, pace = self._pace.released, self._pace
        time_ns = self._start_ns if newest is None else newest.media_time_ns
        return Playback(
            mode="live",
            state="seeking" if pace.is_seeking else "paused" if pace.is_paused else "playing",
            speed=pace.speed,
            position=position_of(time_ns, self._start_ns, self._end_ns),
            timestamp_media_utc=None if newest is None else to_rfc3339(time_ns),
            frame_index=-1 if newest is None else newest.index,
            start=to_rfc3339(self._start_ns),
            end=to_rfc3339(self._end_ns),
            duration_s=(self._end_ns - self._start_ns) / NS_PER_S,
            last_transition_at=self._changed_at,
            last_command=self._last.type if self._last else None,
            by=self._last.by if self._last else None,
            error=self._error,
        )


def position_of(time_ns: int, start_ns: int, end_ns: int) -> float:
    """0..1 of a range."""
    return round(min(max((time_ns - start_ns) / max(end_ns - start_ns, 1), 0.0), 1.0), 6)


class CommandListener:
    """A thread between Redis and a desk. While Redis is away the task plays on as it did."""

    def __init__(self, redis_url: str, task_id: str, desk: PlaybackDesk) -> None:
        self._task_id, self._desk = task_id, desk
        self._redis = listening_redis(redis_url)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="commands", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; nobody can command an ended task."""
        self._closing.set()
        self._thread.join(POLL_S + TIMEOUT_S)
        self._redis.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                for command in next_commands(self._redis, commands_list(self._task_id), POLL_S):
                    self._desk.obey(command)
                self._tell()
            except redis.RedisError:
                self._closing.wait(RETRY_S)

    def _tell(self) -> None:
        pipe = self._redis.pipeline(transaction=False)
        description = msgspec.json.encode(self._desk.describe())
        pipe.set(playback_key(self._task_id), description, ex=KEPT_S)
        # A paused task publishes nothing that would keep its streams.
        pipe.expire(tracks_stream(self._task_id), KEPT_S)
        pipe.expire(frames_stream(self._task_id), KEPT_S)
        pipe.execute()


def listening_redis(redis_url: str) -> "redis.Redis":
    """A connection that may wait for a command for ``POLL_S`` and gives up soon after."""
    return redis.Redis.from_url(
        redis_url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


def next_commands(connection: "redis.Redis", key: str, patience_s: float) -> list[PlaybackCommand]:
    """The oldest command of a list, waited for at most ``patience_s``; none when there is none."""
    found: Any
    if patience_s < SHORTEST_WAIT_S:
        found = connection.lpop(key)
    else:
        _, found = connection.blpop([key], timeout=patience_s) or (key, None)
    if found is None:
        return []
    try:
        return [msgspec.json.decode(found, type=PlaybackCommand)]
    except msgspec.DecodeError as error:
        log.warning("command_unreadable", error=str(error))
        return []
