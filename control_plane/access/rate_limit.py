"""How many requests a minute each user and each address may send.

Counts lie in Redis, for all replicas together. Each process adds its own in small batches, so that
most requests cost no round trip; it may let pass a batch more than the limit. While Redis is away,
every process goes on with its own counts.
"""

import time
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from control_plane.access.spare_redis import SpareRedis
from control_plane.errors import TooManyRequestsError

WINDOW_S = 60
BATCHES = 50
MAX_KEYS = 100_000


@dataclass(slots=True)
class Count:
    """Of one key in this minute: all replicas' as far as known, this one's that Redis is being told
    of, and those it is not yet told of.
    """

    known: int = 0
    on_the_way: int = 0
    pending: int = 0

    @property
    def total(self) -> int:
        """As far as this process knows."""
        return self.known + self.on_the_way + self.pending


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
        total = count.total
        if total <= limit and (count.known == 0 or count.pending > limit // BATCHES):
            total = await self._share(key, count)
        if total > limit:
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

    async def _share(self, key: str, count: Count) -> int:
        """Tells Redis; how many there were with these, of all replicas."""
        pending, count.pending = count.pending, 0
        count.on_the_way += pending
        name = f"spoton:rate:{self._window}:{key}"

        async def add(redis: "Redis") -> Any:
            pipe = redis.pipeline(transaction=False)
            pipe.incrby(name, pending)
            pipe.expire(name, 2 * WINDOW_S)
            return (await pipe.execute())[0]

        try:
            told = await self._redis.ask(add)
        finally:
            count.on_the_way -= pending
        if told is None:
            count.known += pending
            return count.total
        count.known = max(int(told), count.known)
        return int(told)
