"""What a worker tells the living: sets, updates and progress in bounded Redis streams.

Losing Redis loses no history: nothing here waits for it, and publishing goes on once it is back.
"""

import time
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from plugins.messages import (
    TaskProgress,
    TrackingUpdate,
    frames_stream,
    progress_key,
    tracks_stream,
)

log = structlog.get_logger()
RETRY_S = 0.5
TIMEOUT_S = 1.0
KEPT_S = 3600
ALREADY_THERE = "equal or smaller"


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """How much of a task the streams keep: binary sets are large, updates are small."""

    frames: int = 32
    updates: int = 3000


class LivePublisher:
    """One task's writer. Used by one thread; ``unpublished`` counts sets that found no Redis."""

    def __init__(self, redis_url: str, task_id: str, limits: LiveLimits) -> None:
        self.unpublished = 0
        self._task_id, self._limits = task_id, limits
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # the default waits for seconds while Redis is away
        )
        self._retry_at = 0.0

    def publish(self, update: TrackingUpdate, update_json: bytes, binary_set: bytes) -> None:
        """Appends one set to both streams; a set that is there already (after a resume) stays."""
        entry = f"{update.global_frame_index + 1}-0"
        pipe = self._redis.pipeline(transaction=False)
        pipe.xadd(
            tracks_stream(self._task_id),
            {"json": update_json},
            id=entry,
            maxlen=self._limits.updates,
        )
        pipe.xadd(
            frames_stream(self._task_id),
            {"set": binary_set},
            id=entry,
            maxlen=self._limits.frames,
            approximate=False,
        )
        if not self._run(pipe):
            self.unpublished += 1

    def publish_progress(self, progress: TaskProgress) -> None:
        """Writes the state."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.set(progress_key(self._task_id), msgspec.json.encode(progress), ex=KEPT_S)
        pipe.expire(tracks_stream(self._task_id), KEPT_S)
        pipe.expire(frames_stream(self._task_id), KEPT_S)
        self._run(pipe)

    def close(self) -> None:
        """Closes the connection; the streams expire an hour after the last progress."""
        self._redis.close()

    def _run(self, pipe: "redis.client.Pipeline") -> list[Any]:
        if time.monotonic() < self._retry_at:
            return []
        try:
            replies: list[Any] = pipe.execute(raise_on_error=False)
        except redis.RedisError as error:
            self._retry_at = time.monotonic() + RETRY_S
            log.warning("redis_away", remedy="live views pause until it is back", error=str(error))
            return []
        for reply in replies:
            if isinstance(reply, redis.RedisError) and ALREADY_THERE not in str(reply):
                log.warning("redis_refused", error=str(reply))
                return []
        return replies
