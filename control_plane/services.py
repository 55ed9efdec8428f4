"""What handlers need, made once per process and handed to them by name; connects to nothing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from control_plane.access.logins import Logins
from control_plane.access.passwords import Passwords
from control_plane.access.rate_limit import RateLimit
from control_plane.access.spare_redis import SpareRedis
from control_plane.catalogue import known_environment
from control_plane.health.metrics import Metrics
from control_plane.health.probes import Probe, default_probes
from control_plane.recordings import ReadRecordings, RecordingIndex, reader_of
from control_plane.settings import Settings
from control_plane.store import Store
from control_plane.streaming.feeds import LiveHub
from control_plane.streaming.pictures import LiveCrops
from control_plane.streaming.tickers import Tickers
from control_plane.task_state import TaskView, read_task
from homography.environment import Catalogue, Environment

# Where the services listen when nothing is set: their own usual addresses.
USUAL_DATABASE_URL = "postgresql://127.0.0.1:5432/spoton"
USUAL_REDIS_URL = "redis://127.0.0.1:6379/0"
REDIS_TIMEOUT_S = 5.0
STREAM_READ_BYTES = 2**18
MAX_CONNECTIONS, MAX_STREAM_CONNECTIONS = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one control plane process."""

    settings: Settings
    catalogue: Catalogue
    store: Store
    redis: Redis
    hub: LiveHub
    recordings: RecordingIndex
    metrics: Metrics
    probes: Mapping[str, Probe]
    logins: Logins
    passwords: Passwords
    rate_limit: RateLimit
    spare_redis: SpareRedis
    crops: LiveCrops = field(default_factory=LiveCrops)
    tickers: Tickers = field(default_factory=Tickers)
    started_s: float = field(default_factory=time.monotonic)

    def environment(self, environment_id: str) -> Environment:
        """One environment; UnknownEnvironmentError names those there are."""
        return known_environment(self.catalogue, environment_id)

    async def read_task(self, task_id: str) -> TaskView:
        """A task's state from PostgreSQL and Redis, however its id is written."""
        return await read_task(self.store, self.spare_redis, task_id)

    async def close(self) -> None:
        """Gives every connection back."""
        await self.hub.close()
        self.tickers.close()
        self.passwords.close()
        await self.store.close()
        await self.redis.aclose()


def make_services(
    settings: Settings,
    catalogue: Catalogue,
    probes: Mapping[str, Probe] | None = None,
    read_recordings: ReadRecordings | None = None,
) -> Services:
    """The real parts; ``probes`` and ``read_recordings`` may be replaced."""
    store = Store(settings.database_url or USUAL_DATABASE_URL)
    redis = connect_redis(settings, socket_timeout=REDIS_TIMEOUT_S)
    # The client's time limit for each step of a command makes reading a set dearer; feeds have one
    # of their own, and hold a connection each while they wait.
    streams = connect_redis(
        settings,
        socket_timeout=None,
        socket_read_size=STREAM_READ_BYTES,
        max_connections=MAX_STREAM_CONNECTIONS,
    )
    spare_redis = SpareRedis(redis)
    metrics = Metrics()

    async def read_status(task_id: str) -> TaskView:
        return await read_task(store, spare_redis, task_id)

    return Services(
        settings=settings,
        catalogue=catalogue,
        store=store,
        redis=redis,
        hub=LiveHub(redis, streams, read_status, metrics),
        recordings=RecordingIndex(read_recordings or reader_of(settings)),
        metrics=metrics,
        probes=default_probes(settings, catalogue, store, redis) if probes is None else probes,
        logins=Logins(store, spare_redis, settings),
        passwords=Passwords(),
        rate_limit=RateLimit(spare_redis),
        spare_redis=spare_redis,
    )


def connect_redis(settings: Settings, **options: Any) -> Redis:
    """A client that connects when it is first used."""
    return Redis.from_url(
        settings.redis_url or USUAL_REDIS_URL,
        socket_connect_timeout=2.0,
        # Reading a set of pictures takes a third less than with RESP3.
        protocol=2,
        # The default makes every request wait while Redis is away. Once more for a connection that
        # has been closed meanwhile, not where an answer was waited for in vain.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        # Told nothing, redis-py allows 100 and fails whoever comes then.
        **{"max_connections": MAX_CONNECTIONS} | options,
    )
