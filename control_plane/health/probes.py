"""Is each part there? One probe per component, none of which ever raises or takes long."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from control_plane.settings import Settings
from control_plane.store import Store
from homography.environment import Catalogue
from plugins.media.object_store import open_object_store
from plugins.messages import WorkerState, worker_key

PROBE_TIMEOUT_S = 2.0
DETECTOR = "person_detector"
EMBEDDER = "person_reid"

ComponentStatus = Literal["ok", "degraded", "away"]


class Component(msgspec.Struct, frozen=True):
    """One part's state; ``detail`` says what is the matter and what to do, or what there is."""

    status: ComponentStatus
    detail: str


Probe = Callable[[], Awaitable[Component]]


def default_probes(
    settings: Settings, catalogue: Catalogue, store: Store, redis: "Redis"
) -> dict[str, Probe]:
    """The components of ``GET /health``."""
    triton = TritonProbe(settings.triton_url)
    return {
        "triton": triton.server,
        "detector_model": lambda: triton.model(DETECTOR),
        "reid_model": lambda: triton.model(EMBEDDER),
        "homography": lambda: _homography(catalogue),
        "redis": lambda: _redis(redis),
        "database": lambda: _database(store),
        "object_store": lambda: _object_store(settings),
        "pipeline_workers": lambda: _workers(redis),
    }


async def run_probes(probes: Mapping[str, Probe]) -> dict[str, Component]:
    """All at once, each within PROBE_TIMEOUT_S; what fails is ``away`` with the reason."""
    results = await asyncio.gather(*(_guarded(probe) for probe in probes.values()))
    return dict(zip(probes, results, strict=True))


async def _guarded(probe: Probe) -> Component:
    try:
        return await asyncio.wait_for(probe(), PROBE_TIMEOUT_S)
    except TimeoutError:
        return Component("away", f"no answer within {PROBE_TIMEOUT_S:.0f} s")
    except Exception as error:  # noqa: BLE001  # a probe's failure is its answer
        return Component("away", str(error) or type(error).__name__)


class TritonProbe:
    """Asks Triton over gRPC; the channel is made on first use, in the running event loop."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._client: Any = None

    async def server(self) -> Component:
        """Whether the server is ready."""
        if self._url is None:
            return Component("away", "TRITON_URL is unset: start Triton and set it, or `spoton up`")
        if await self._connected().is_server_ready(client_timeout=PROBE_TIMEOUT_S):
            return Component("ok", self._url)
        return Component("degraded", f"Triton at {self._url} is up but not ready yet")

    async def model(self, name: str) -> Component:
        """Whether one model is loaded."""
        if self._url is None:
            return Component("away", "TRITON_URL is unset")
        if await self._connected().is_model_ready(name, client_timeout=PROBE_TIMEOUT_S):
            return Component("ok", f"{name} is loaded")
        return Component("away", f"Triton has not loaded {name}: `spoton models import` it")

    def _connected(self) -> Any:
        if self._client is None:
            # gRPC takes half a second to load, which no other command should wait for.
            from tritonclient.grpc.aio import InferenceServerClient  # noqa: PLC0415

            self._client = InferenceServerClient(self._url)
        return self._client


async def _homography(catalogue: Catalogue) -> Component:
    cameras = sum(len(e.cameras) for e in catalogue.environments.values())
    if catalogue.problems:
        first = catalogue.problems[0]
        more = f" (and {len(catalogue.problems) - 1} more)" if len(catalogue.problems) > 1 else ""
        return Component("degraded", f"{first.path.name}: {first.message}{more}")
    if not cameras:
        return Component("away", "no environment with a calibrated camera: add a TOML file")
    return Component("ok", f"{cameras} cameras of {len(catalogue.environments)} environments")


async def _redis(redis: "Redis") -> Component:
    await redis.ping()
    return Component("ok", "answers")


async def _database(store: Store) -> Component:
    async with store.connection() as connection:
        await connection.fetchval("select 1")
    return Component("ok", "answers, migrated")


async def _object_store(settings: Settings) -> Component:
    return await asyncio.to_thread(_look_into_store, settings)


def _look_into_store(settings: Settings) -> Component:
    store = open_object_store(
        settings.store_url(),
        endpoint_url=settings.s3_endpoint_url,
        connect_timeout_s=PROBE_TIMEOUT_S,
        read_timeout_s=PROBE_TIMEOUT_S,
        attempts=1,
    )
    store.exists("spoton-health-probe")
    return Component("ok", store.url)


async def _workers(redis: "Redis") -> Component:
    workers = await read_workers(redis)
    tasks = sum(len(worker.task_ids) for worker in workers)
    if not workers:
        return Component("away", "no worker runs: start one with `spoton worker`")
    profiles = "/".join(sorted({worker.profile for worker in workers}))
    return Component("ok", f"{len(workers)} running on {profiles}, {tasks} tasks")


async def read_workers(redis: "Redis") -> list[WorkerState]:
    """Every worker that has announced itself lately, by name."""
    keys = [key async for key in redis.scan_iter(match=worker_key("*"), count=500)]
    values = await redis.mget(keys) if keys else []
    found = [msgspec.json.decode(value, type=WorkerState) for value in values if value]
    return sorted(found, key=lambda worker: worker.owner)
