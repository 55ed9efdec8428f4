"""Redis for what also works without it: logins, live figures, rate limits, repeated looks."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from control_plane.streaming.together import Together

log = structlog.get_logger()
RETRY_S = 1.0
REMEDY = "start it, or set REDIS_URL; until then logins are looked up in PostgreSQL, and each "
REMEDY += "process counts requests for itself"


class SpareRedis:
    """Asks Redis; while it is away, it is left alone after each failure: for a second, or for as
    long as was waited for its answer, so that a server that hangs holds up no more than half.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._retry_at = 0.0
        self._values: Together[str, bytes] = Together(self._read)

    async def ask(self, question: Callable[["Redis"], Awaitable[Any]]) -> Any | None:
        """Its answer; None when it does not answer."""
        began = time.monotonic()
        if began < self._retry_at:
            return None
        try:
            return await question(self._redis)
        except (RedisError, OSError) as error:
            now = time.monotonic()
            self._retry_at = now + max(RETRY_S, now - began)
            log.warning("redis_away", remedy=REMEDY, error=str(error))
            return None

    def get(self, key: str) -> Awaitable[bytes | None]:
        """The value of a key, asked for at once; None without one, or without Redis."""
        return self._values.get(key)

    async def _read(self, keys: list[str]) -> dict[str, bytes]:
        values = await self.ask(lambda redis: redis.mget(keys)) or []
        found = zip(keys, values, strict=False)  # no values where Redis does not answer
        return {key: value for key, value in found if value is not None}
