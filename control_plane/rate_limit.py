"""How many requests a minute each user and each address may send.

Counts lie in Redis, for all replicas together. Each process adds its own in small batches, so that
most requests cost no round trip; it may let pass a batch more than the limit. While Redis is away,
every process goes on with its own counts.
"""

import time
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from control_plane.errors import TooManyRequestsError
from control_plane.spare_redis import SpareRedis

WINDOW_S = 60
BATCHES = 50
MAX_KEYS = 100_000


@dataclass(slots=True)
class Count:
    """Of one key in this minute: all replicas' as far as known, and those not yet told."""

    known: int = 0
    pending: int = 0


class RateLimit:
    """Fixed windows of a minute."""

    def __init__(self, redis: SpareRedis) -> None:
        self._redis = redis
        self._window = 0
        self._counts: dict[str, Count] = {}

    async def check(self, key: str, limit: int) -> None:
        """Counts one more; TooManyRequestsError beyond ``limit`` a minute. 0 is no limit."""
        if limit == 0:
            return
        count = self._count_of(key)
        count.pending += 1
        if count.known == 0 or count.pending > limit // BATCHES:
            await self._share(key, count)
        if count.known + count.pending > limit:
            retry_after_s = WINDOW_S - int(time.time()) % WINDOW_S
            raise TooManyRequestsError(
                f"more than {limit} requests in a minute: try again in {retry_after_s} s",
                retry_after_s,
            )

    def _count_of(self, key: str) -> Count:
        window = int(time.time()) // WINDOW_S
        if window != self._window or len(self._counts) > MAX_KEYS:
            self._window, self._counts = window, {}
        return self._counts.setdefault(key, Count())

    async def _share(self, key: str, count: Count) -> None:
        pending, count.pending = count.pending, 0
        name = f"spoton:rate:{self._window}:{key}"

        async def add(redis: "Redis") -> Any:
            pipe = redis.pipeline(transaction=False)
            pipe.incrby(name, pending)
            pipe.expire(name, 2 * WINDOW_S)
            return (await pipe.execute())[0]

        total = await self._redis.ask(add)
        count.known = count.known + pending if total is None else max(int(total), count.known)
