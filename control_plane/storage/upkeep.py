"""What the control plane does on its own: rollups every few seconds, retention every hour; and
``POST /api/v1/system/maintenance`` for whoever does not want to wait. Replicas may all do it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec
import structlog
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller
from control_plane.audit import record
from control_plane.cancelling import end_all
from control_plane.errors import documented
from control_plane.services import Services
from control_plane.storage.retention import expire
from control_plane.storage.rollups import roll_up
from control_plane.zones import all_polygons
from plugins.errors import DatabaseUnavailableError, InvalidInputError, SpotOnError

log = structlog.get_logger()
ROLL_UP_EVERY_S = 2.0
EXPIRE_EVERY_S = 3600.0
MAINTENANCE_S = 600.0
Action = Literal["cache", "gallery", "rollups", "vacuum"]
VACUUMED = (
    "tracking_events trajectories persons person_crops identity_decisions visits cell_minutes "
    "camera_minutes processed_minutes"
).split()


class Maintenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``cache``: forget what is known of the recordings. ``gallery``: make the indexes over people
    and their pictures anew. ``rollups``: bring them up to date. ``vacuum``: delete what retention
    says, and give its room back. They run in this order of theirs, each once.
    """

    actions: Annotated[list[Action], msgspec.Meta(min_length=1, max_length=4)] = msgspec.field(
        default_factory=lambda: ["cache", "gallery", "rollups", "vacuum"]
    )


class Done(msgspec.Struct, frozen=True):
    """One action; ``changed`` is entries, indexes, steps or rows."""

    action: Action
    changed: int
    seconds: float


class MaintenanceReport(msgspec.Struct, frozen=True):
    """What was done."""

    actions: list[Done]


class Upkeep:
    """The background task of one control plane process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins; nothing waits for it."""
        jobs = ((ROLL_UP_EVERY_S, bring_up_to_date), (EXPIRE_EVERY_S, expire_rows))
        self._tasks = [asyncio.create_task(self._repeat(every, job)) for every, job in jobs]

    async def stop(self) -> None:
        """Ends; a step that is under way is rolled back."""
        await end_all(self._tasks)

    async def _repeat(self, every_s: float, job: Callable[[Services], Awaitable[int]]) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await job(self._services)
            except SpotOnError as error:
                log.warning("upkeep_delayed", job=job.__name__, error=str(error))
            except Exception:
                log.exception("upkeep_failed", job=job.__name__)


async def bring_up_to_date(services: Services) -> int:
    """Every rollup up to what is stored; returns the number of steps."""
    environments = list(services.catalogue.environments.values())
    async with services.store.connection() as connection:
        zones = await all_polygons(connection, environments)
    return await roll_up(services.store, zones)


async def expire_rows(services: Services) -> int:
    """What retention says; returns the number of rows."""
    return await expire(services.store, services.settings.retention_days)


async def forget_recordings(services: Services) -> int:
    """Recordings are listed anew when they are next asked for."""
    return services.recordings.forget()


async def reindex_gallery(services: Services) -> int:
    """The indexes of people and of their pictures, while both stay readable and writable."""
    async with services.store.connection() as connection:
        for table in ("persons", "person_crops"):
            await connection.execute(f"reindex table concurrently {table}", timeout=MAINTENANCE_S)
    return 2


async def vacuum(services: Services) -> int:
    """Retention, then the room of deleted rows and fresh statistics."""
    rows = await expire_rows(services)
    async with services.store.connection() as connection:
        for table in VACUUMED:
            await connection.execute(f"vacuum (analyze) {table}", timeout=MAINTENANCE_S)
    return rows


JOBS: dict[Action, Callable[[Services], Awaitable[int]]] = {
    "cache": forget_recordings,
    "gallery": reindex_gallery,
    "rollups": bring_up_to_date,
    "vacuum": vacuum,
}
EXAMPLE: dict[str, Any] = {"actions": [{"action": "rollups", "changed": 4, "seconds": 0.12}]}


@post("/api/v1/system/maintenance", status_code=200, tags=["system"], opt={"role": "admin"},
      responses=documented(200, MaintenanceReport, EXAMPLE, InvalidInputError,
                           DatabaseUnavailableError))  # fmt: skip
async def maintain(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: JSONBody[Maintenance],
) -> MaintenanceReport:
    """Clear caches, make the gallery's indexes anew, update rollups, delete expired rows."""
    await record(services, caller, "system.maintain", ",".join(data.actions))
    report = []
    for action, job in JOBS.items():
        if action in data.actions:
            began = time.perf_counter()
            changed = await job(services)
            report.append(Done(action, changed, round(time.perf_counter() - began, 3)))
    return MaintenanceReport(report)


HANDLERS: list[ControllerRouterHandler] = [maintain]
