"""``detection-processing-tasks``: the frontend's list of tasks, start, status and clean-up."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from control_plane import environments, tasks
from control_plane.access.callers import Caller, visible_environment, visible_task
from control_plane.environments import EnvironmentId
from control_plane.errors import TaskNotFoundError, documented
from control_plane.services import Services
from control_plane.task_state import TaskView
from control_plane.tasks import EXAMPLE_ID, StartTask, TaskId
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    UnknownEnvironmentError,
)

API = "/api/v1/detection-processing-tasks"
LISTED = 200
START_LOCK_S = 10
TAG = "frontend"


class ActiveTaskError(InvalidInputError):
    """The environment is being played already."""

    code = "task_already_active"


class TaskItem(msgspec.Struct, frozen=True):
    """A task in the list; one that was asked to stop counts as STOPPED."""

    task_id: str
    status: str
    environment_id: str
    created_at: datetime | None


class TaskItems(msgspec.Struct, frozen=True):
    """Newest first."""

    tasks: list[TaskItem]


class TaskList(msgspec.Struct, frozen=True):
    """The newest tasks."""

    data: TaskItems


class StartDetection(msgspec.Struct, frozen=True):
    """What to play. The two switches change nothing: the frontend draws boxes itself."""

    environment_id: str
    debug: bool | None = None
    render_debug_overlay: bool | None = None


class DetectionStarted(msgspec.Struct, frozen=True):
    """Where to watch it."""

    task_id: str
    status_url: str
    websocket_url: str
    message: str


class DetectionStatus(msgspec.Struct, frozen=True):
    """``progress`` is 0..1; ``details`` says what went wrong, else null; ``updated_at`` is the
    task's latest change that is stored.
    """

    task_id: str
    environment_id: str
    status: str
    progress: float
    current_step: str
    details: str | None
    created_at: datetime | None
    updated_at: datetime | None


class Text(msgspec.Struct, frozen=True):
    """A sentence."""

    message: str


class Cleaned(msgspec.Struct, frozen=True):
    """What was asked to stop."""

    data: Text


class CameraMetadata(msgspec.Struct, frozen=True):
    """A camera's name; there are no overlay pictures, so that ``overlay_asset`` is null."""

    display_name: str
    overlay_asset: str | None
    homography_available: bool


class DetectionEnvironment(msgspec.Struct, frozen=True):
    """An environment and its cameras."""

    environment_id: str
    display_name: str
    cameras: list[str]
    camera_metadata: dict[str, CameraMetadata]


class DetectionEnvironments(msgspec.Struct, frozen=True):
    """``updated_at`` is when the newest of the environments' files changed."""

    environments: list[DetectionEnvironment]
    updated_at: datetime | None


EXAMPLE_STARTED = DetectionStarted(
    EXAMPLE_ID,
    f"{API}/{EXAMPLE_ID}/status",
    f"/ws/tracking/{EXAMPLE_ID}",
    "campus is queued; it plays as soon as a worker is free",
)
EXAMPLE_LIST: dict[str, Any] = {
    "data": {
        "tasks": [
            {
                "task_id": EXAMPLE_ID,
                "status": "PROCESSING",
                "environment_id": "campus",
                "created_at": "2026-01-01T12:00:00Z",
            }
        ]
    }
}
EXAMPLE_STATUS: dict[str, Any] = {
    "task_id": EXAMPLE_ID,
    "environment_id": "campus",
    "status": "PROCESSING",
    "progress": 0.42,
    "current_step": "PROCESSING",
    "details": None,
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:00:01Z",
}
EXAMPLE_ENVIRONMENTS: dict[str, Any] = {
    "environments": [
        {
            "environment_id": "campus",
            "display_name": "Campus",
            "cameras": ["c01"],
            "camera_metadata": {
                "c01": {
                    "display_name": "Entrance",
                    "overlay_asset": None,
                    "homography_available": True,
                }
            },
        }
    ],
    "updated_at": "2026-01-01T12:00:00Z",
}


@get(API, tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, TaskList, EXAMPLE_LIST, DatabaseUnavailableError))  # fmt: skip
async def list_detections(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> TaskList:
    """The newest tasks of all environments."""
    page = await tasks.list_tasks.fn(services=services, caller=caller, limit=LISTED)
    return TaskList(TaskItems([_item(task) for task in page.items]))


@post(f"{API}/start", status_code=202, tags=[TAG], opt={"role": "operator"},
      responses=documented(202, DetectionStarted, EXAMPLE_STARTED, UnknownEnvironmentError,
                           ActiveTaskError, DatabaseUnavailableError))  # fmt: skip
async def start_detection(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: JSONBody[StartDetection],
) -> DetectionStarted:
    """Play all of an environment, unless it is being played already."""
    visible_environment(services, caller, data.environment_id)
    lock = f"spoton:starting:{data.environment_id}"
    starters = await services.spare_redis.ask(lambda redis: _count_up(redis, lock)) or 1
    try:
        await _check_idle(services, caller, data.environment_id, starters)
        request = StartTask(data.environment_id)
        started = await tasks.start_task.fn(services=services, caller=caller, data=request)
    finally:
        if starters == 1:
            await services.spare_redis.ask(lambda redis: redis.delete(lock))
    return DetectionStarted(
        started.task_id,
        f"{API}/{started.task_id}/status",
        started.websocket_url,
        f"{data.environment_id} is queued; it plays as soon as a worker is free",
    )


@get(f"{API}/environments", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, DetectionEnvironments, EXAMPLE_ENVIRONMENTS))  # fmt: skip
async def detection_environments(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> DetectionEnvironments:
    """Every environment with its cameras."""
    listed = await environments.list_environments.fn(services=services, caller=caller)
    found = [_environment(services, summary) for summary in listed.environments]
    changed = [s.last_updated for s in listed.environments if s.last_updated is not None]
    return DetectionEnvironments(found, max(changed, default=None))


@get(f"{API}/{{task_id:str}}/status", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, DetectionStatus, EXAMPLE_STATUS, TaskNotFoundError,
                          DatabaseUnavailableError))  # fmt: skip
async def detection_status(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> DetectionStatus:
    """How far a task is."""
    task = await visible_task(services, caller, task_id)
    return DetectionStatus(
        task_id=task.task_id,
        environment_id=task.environment_id,
        status=task.status,
        progress=task.progress,
        current_step=task.message or task.status,
        details=task.error,
        created_at=task.created_at,
        updated_at=task.finished_at or task.started_at or task.created_at,
    )


@delete(f"{API}/environment/{{environment_id:str}}/cleanup", status_code=200, tags=[TAG],
        opt={"role": "operator"},
        responses=documented(200, Cleaned, Cleaned(Text("campus: 1 task asked to stop")),
                             UnknownEnvironmentError, DatabaseUnavailableError))  # fmt: skip
async def clean_up(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
) -> Cleaned:
    """Stop whatever plays an environment; what is stored stays."""
    visible_environment(services, caller, environment_id)
    active = await _active(services, caller, environment_id)
    for task in active:
        await tasks.stop_task.fn(services=services, caller=caller, task_id=task.task_id)
    noun = "task" if len(active) == 1 else "tasks"
    return Cleaned(Text(f"{environment_id}: {len(active)} {noun} asked to stop"))


def _item(task: TaskView) -> TaskItem:
    status = "STOPPED" if task.stop_requested and task.finished_at is None else task.status
    return TaskItem(task.task_id, status, task.environment_id, task.created_at)


async def _active(services: Services, caller: Caller, environment_id: str) -> list[TaskView]:
    """The tasks that play an environment and were not asked to stop."""
    page = await tasks.active_tasks.fn(services=services, caller=caller)
    mine = [task for task in page.items if task.environment_id == environment_id]
    return [task for task in mine if not task.stop_requested]


async def _check_idle(
    services: Services, caller: Caller, environment_id: str, starters: int
) -> None:
    active = await _active(services, caller, environment_id)
    if active or starters > 1:
        which = f", {active[0].task_id}" if active else " that is just being started"
        raise ActiveTaskError(
            f"environment {environment_id!r} already has an active task{which}: watch that one, or "
            f"end it with DELETE {API}/environment/{environment_id}/cleanup"
        )


async def _count_up(redis: Any, key: str) -> int:
    """How many start this environment at this moment."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.incr(key)
        pipe.expire(key, START_LOCK_S)
        return int((await pipe.execute())[0])


def _environment(services: Services, summary: Any) -> DetectionEnvironment:
    cameras = environments.camera_infos(services.environment(summary.environment_id))
    return DetectionEnvironment(
        environment_id=summary.environment_id,
        display_name=summary.name,
        cameras=[camera.camera_id for camera in cameras],
        camera_metadata={
            c.camera_id: CameraMetadata(c.name, None, c.has_homography) for c in cameras
        },
    )


HANDLERS: list[ControllerRouterHandler] = [
    list_detections,
    start_detection,
    detection_environments,
    detection_status,
    clean_up,
]
