"""Redis for what also works without it: logins, rate limits, repeated looks."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger()
RETRY_S = 1.0
REMEDY = "start it, or set REDIS_URL; until then logins are looked up in PostgreSQL, and each "
REMEDY += "process counts requests for itself"


class SpareRedis:
    """Asks Redis; while it is away, it is left alone for a second after each failure."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._retry_at = 0.0

    async def ask(self, question: Callable[["Redis"], Awaitable[Any]]) -> Any | None:
        """Its answer; None when it does not answer."""
        if time.monotonic() < self._retry_at:
            return None
        try:
            return await question(self._redis)
        except (RedisError, OSError) as error:
            self._retry_at = time.monotonic() + RETRY_S
            log.warning("redis_away", remedy=REMEDY, error=str(error))
            return None
