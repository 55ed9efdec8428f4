"""``GET /api/v1/system/cameras/status``: which cameras are playing, and how well."""

from typing import Any, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller
from control_plane.camera_settings import INACTIVE
from control_plane.errors import documented
from control_plane.services import Services
from control_plane.store import TaskRow
from control_plane.task_state import read_all_progress, task_view
from control_plane.zones import visible
from plugins.errors import DatabaseUnavailableError, RedisUnavailableError


class CameraStatus(msgspec.Struct, frozen=True):
    """One camera. ``idle``: no task plays it; ``inactive``: set so by an admin; ``failing``: its
    newest task has a problem with it, named in ``error``. Figures are of that task, null without.
    """

    environment_id: str
    camera_id: str
    name: str
    state: Literal["playing", "idle", "inactive", "failing"]
    task_id: str | None
    fps: float | None
    frames: int | None
    missing: int | None
    error: str | None


class CameraStatuses(msgspec.Struct, frozen=True):
    """Every camera of the environments the caller may see."""

    cameras: list[CameraStatus]


EXAMPLE: dict[str, Any] = {
    "cameras": [
        {
            "environment_id": "campus",
            "camera_id": "c01",
            "name": "Entrance",
            "state": "playing",
            "task_id": "6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33",
            "fps": 10.0,
            "frames": 3120,
            "missing": 2,
            "error": None,
        }
    ]
}


@get("/api/v1/system/cameras/status", tags=["system"], opt={"role": "viewer"},
     responses=documented(200, CameraStatuses, EXAMPLE, DatabaseUnavailableError,
                          RedisUnavailableError))  # fmt: skip
async def camera_statuses(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> CameraStatuses:
    """Which cameras are playing, their frame rates, and what is wrong with them."""
    tasks = await services.store.active_tasks()
    found = []
    async with services.store.connection() as connection:
        for place in visible(services, caller):
            rows = await connection.fetch(INACTIVE, place.environment_id)
            inactive = {row["camera_id"] for row in rows}
            playing = await _playing(services, tasks, place.environment_id)
            for camera in place.cameras:
                known = playing.get(camera.camera_id, {})
                state = "inactive" if camera.camera_id in inactive and not known else "idle"
                whole = {"state": state, **NOTHING, **known}
                found.append(
                    CameraStatus(place.environment_id, camera.camera_id, camera.name, **whole)
                )
    return CameraStatuses(found)


NOTHING = dict.fromkeys(("task_id", "fps", "frames", "missing", "error"))


async def _playing(
    services: Services, tasks: list[TaskRow], environment_id: str
) -> dict[str, dict[str, Any]]:
    """Figures by camera, of the newest active task that plays it."""
    own = [task for task in tasks if task.environment_id == environment_id]
    live = await read_all_progress(services.redis, [task.task_id for task in own])
    cameras: dict[str, dict[str, Any]] = {}
    for task in reversed(own):
        for camera_id, camera in task_view(task, live.get(task.task_id)).cameras.items():
            cameras[camera_id] = {
                "state": "failing" if camera.error else "playing",
                "task_id": task.task_id,
                "fps": camera.fps,
                "frames": camera.frames,
                "missing": camera.missing,
                "error": camera.error,
            }
    return cameras


HANDLERS: list[ControllerRouterHandler] = [camera_statuses]
