"""Is it up, is it well, how busy is it: for people, load balancers and Prometheus."""

import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler
from redis.exceptions import RedisError

from control_plane.access.callers import Caller
from control_plane.errors import NotReadyError, documented
from control_plane.health.metrics import CONTENT_TYPE
from control_plane.health.probes import Component, read_workers, run_probes
from control_plane.services import Services
from control_plane.store import TaskRow
from control_plane.task_state import read_all_progress
from plugins.errors import DatabaseUnavailableError
from plugins.messages import WorkerState

HealthStatus = Literal["healthy", "degraded", "starting", "error"]
STARTING_S = 60.0
MODELS = ("triton", "detector_model", "reid_model")
NEEDED = ("database",)


class Health(msgspec.Struct, frozen=True):
    """``error``: nothing can be started or looked up. ``starting``: the models are still loading
    in the first minute. ``degraded``: some part is away, the others go on.
    """

    status: HealthStatus
    components: dict[str, Component]
    detector_model_loaded: bool
    prototype_tracker_loaded: bool
    homography_matrices_precomputed: bool
    version: str
    timestamp: datetime


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"]


class Ready(msgspec.Struct, frozen=True):
    """The process can serve requests."""

    status: Literal["ready"]


class SystemStatus(msgspec.Struct, frozen=True):
    """The whole system at a glance; ``tasks`` counts unfinished ones by status."""

    status: HealthStatus
    version: str
    uptime_s: float
    environments: list[str]
    components: dict[str, Component]
    workers: list[WorkerState]
    tasks: dict[str, int]
    sets_per_s: float
    timestamp: datetime


EXAMPLE_COMPONENTS: dict[str, Any] = {
    "triton": {"status": "ok", "detail": "127.0.0.1:8001"},
    "detector_model": {"status": "ok", "detail": "person_detector is loaded"},
    "reid_model": {"status": "ok", "detail": "person_reid is loaded"},
    "homography": {"status": "ok", "detail": "8 cameras of 2 environments"},
    "redis": {"status": "ok", "detail": "answers"},
    "database": {"status": "ok", "detail": "answers, migrated"},
    "object_store": {"status": "ok", "detail": "s3://recordings"},
    "pipeline_workers": {"status": "ok", "detail": "1 running on cpu, 1 tasks"},
}
EXAMPLE_HEALTH: dict[str, Any] = {
    "status": "healthy",
    "components": EXAMPLE_COMPONENTS,
    "detector_model_loaded": True,
    "prototype_tracker_loaded": True,
    "homography_matrices_precomputed": True,
    "version": "0.1.0",
    "timestamp": "2026-01-01T12:00:00Z",
}
EXAMPLE_STATUS: dict[str, Any] = {
    "status": "healthy",
    "version": "0.1.0",
    "uptime_s": 3600.0,
    "environments": ["campus", "factory"],
    "components": EXAMPLE_COMPONENTS,
    "workers": [{"owner": "host:4711", "task_ids": ["6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33"]}],
    "tasks": {"PROCESSING": 1},
    "sets_per_s": 10.0,
    "timestamp": "2026-01-01T12:00:00Z",
}


# Made once: load balancers ask often, and it never changes.
ALIVE = ASGIResponse(body=msgspec.json.encode(Alive("alive")))


@get(
    "/live",
    opt={"role": "anyone"},
    tags=["system"],
    responses=documented(200, Alive, Alive("alive")),
)
async def alive() -> ASGIResponse:
    """200 as long as the process answers at all."""
    return ALIVE


@get(
    "/ready",
    opt={"role": "anyone"},
    tags=["system"],
    responses=documented(200, Ready, Ready("ready"), NotReadyError),
)
async def ready(services: NamedDependency[Services]) -> Ready:
    """200 when PostgreSQL and Redis answer; until then 503 naming the one that does not."""
    wanted = {name: services.probes[name] for name in ("database", "redis")}
    components = await run_probes(wanted)
    missing = [f"{name}: {c.detail}" for name, c in components.items() if c.status != "ok"]
    if missing:
        raise NotReadyError("; ".join(missing))
    return Ready("ready")


@get(
    "/health",
    opt={"role": "anyone"},
    tags=["system"],
    responses=documented(200, Health, EXAMPLE_HEALTH),
)
async def health(services: NamedDependency[Services]) -> Health:
    """Every component's state. Always 200: read the body; /live and /ready speak in codes."""
    components = await _probed(services)
    return Health(
        status=overall(components, time.monotonic() - services.started_s),
        components=components,
        detector_model_loaded=_is_ok(components, "detector_model"),
        prototype_tracker_loaded=_is_ok(components, "reid_model"),
        homography_matrices_precomputed=_is_ok(components, "homography"),
        version=product_version(),
        timestamp=datetime.now(UTC),
    )


@get(
    "/api/v1/system/status",
    opt={"role": "viewer"},
    tags=["system"],
    responses=documented(200, SystemStatus, EXAMPLE_STATUS),
)
async def system_status(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> SystemStatus:
    """The system at a glance: parts, workers, tasks. Parts that are away are named, not guessed."""
    components = await _probed(services)
    uptime_s = time.monotonic() - services.started_s
    rows = [row for row in await _active(services) if caller.may_see(row.environment_id)]
    live = await read_all_progress(services.redis, [row.task_id for row in rows])
    states = [live.get(row.task_id, row.progress) for row in rows]
    return SystemStatus(
        status=overall(components, uptime_s),
        version=product_version(),
        uptime_s=round(uptime_s, 1),
        environments=[e for e in sorted(services.catalogue.environments) if caller.may_see(e)],
        components=components,
        workers=await _workers(services),
        tasks=_counted(
            [s.status if s else row.status for row, s in zip(rows, states, strict=True)]
        ),
        sets_per_s=round(sum(state.sets_per_s for state in states), 2),
        timestamp=datetime.now(UTC),
    )


@get("/metrics", opt={"role": "anyone"}, tags=["system"], media_type="text/plain")
async def metrics(services: NamedDependency[Services]) -> Response[bytes]:
    """Prometheus text: requests, WebSockets, and the active tasks' rates and drops."""
    rows = await _active(services)
    live = await read_all_progress(services.redis, [row.task_id for row in rows])
    services.metrics.set_tasks(
        [(r.task_id, r.environment_id, live.get(r.task_id, r.progress)) for r in rows]
    )
    return Response(services.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def overall(components: dict[str, Component], uptime_s: float) -> HealthStatus:
    """One word for all components."""
    if not all(_is_ok(components, name) for name in NEEDED):
        return "error"
    away = [name for name, component in components.items() if component.status != "ok"]
    if uptime_s < STARTING_S and any(name in MODELS for name in away):
        return "starting"
    return "degraded" if away else "healthy"


def product_version() -> str:
    """The installed version; empty in a tree that is not installed."""
    try:
        return version("spoton")
    except PackageNotFoundError:
        return ""


async def _probed(services: Services) -> dict[str, Component]:
    components = await run_probes(services.probes)
    for name, component in components.items():
        services.metrics.component_up.labels(name).set(component.status == "ok")
    return components


async def _active(services: Services) -> list[TaskRow]:
    try:
        return await services.store.active_tasks()
    except DatabaseUnavailableError:
        return []


async def _workers(services: Services) -> list[WorkerState]:
    try:
        return await read_workers(services.redis)
    except RedisError:
        return []


def _is_ok(components: dict[str, Component], name: str) -> bool:
    component = components.get(name)
    return component is not None and component.status == "ok"


def _counted(statuses: list[str]) -> dict[str, int]:
    return {status: statuses.count(status) for status in sorted(set(statuses))}


HANDLERS: list[ControllerRouterHandler] = [alive, ready, health, system_status, metrics]
