"""``/api/v1/processing-tasks``: start a task, watch it, stop it."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromQuery, PathParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment, visible_task
from control_plane.audit import record
from control_plane.camera_settings import active_cameras
from control_plane.errors import TaskNotFoundError, documented
from control_plane.pages import Cursor, Limit, Page
from control_plane.services import Services
from control_plane.store import TaskRow
from control_plane.task_state import API, TaskView, read_all_progress, read_progress, task_view
from homography.environment import Environment
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    InvalidTimeRangeError,
    RedisUnavailableError,
    UnknownCameraError,
    UnknownEnvironmentError,
)
from plugins.media_time import from_datetime, to_rfc3339
from plugins.messages import (
    TERMINAL_STATUSES,
    TaskRequest,
    TaskStatus,
    TrackingUpdate,
    tracks_stream,
)
from plugins.plan import chosen_cameras

Speed = Annotated[float, msgspec.Meta(ge=0.25, le=4)] | Literal["max"]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
CameraIds = Annotated[list[str], msgspec.Meta(min_length=1, max_length=64)]


class StartTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to play. Times are media time; null means the recording's own start or end.

    ``cameras`` null means all. ``speed`` is a factor of real time; "max" plays as fast as the
    machine can and drops nothing. The same ``seed`` gives the same ids.
    """

    environment_id: str
    cameras: CameraIds | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    speed: Speed | None = 1.0
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None


class StartedTask(msgspec.Struct, frozen=True):
    """Where to watch the task."""

    task_id: str
    status_url: str
    websocket_url: str
    frames_url: str


class ActivePerson(msgspec.Struct, frozen=True):
    """A person in the newest set: in which cameras, and where on the floor (metres)."""

    global_id: str
    cameras: list[str]
    map_coords: tuple[float, float] | None
    map_uncertainty_m: float | None
    last_seen_media_utc: str


class ActivePersons(msgspec.Struct, frozen=True):
    """Who is there now. ``global_frame_index`` is null while nothing is live."""

    task_id: str
    global_frame_index: int | None
    timestamp_media_utc: str | None
    items: list[ActivePerson]
    total: int
    next_cursor: str | None = None
    has_next: bool = False


EXAMPLE_ID = "6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33"
STARTED = StartedTask(
    EXAMPLE_ID,
    f"{API}/{EXAMPLE_ID}/status",
    f"/ws/tracking/{EXAMPLE_ID}",
    f"/ws/frames/{EXAMPLE_ID}",
)
EXAMPLE_STATE: dict[str, Any] = {
    "task_id": EXAMPLE_ID,
    "environment_id": "campus",
    "status": "PROCESSING",
    "progress": 0.42,
    "error": None,
    "message": "",
    "stop_requested": False,
    "created_at": "2026-01-01T12:00:00Z",
    "started_at": "2026-01-01T12:00:01Z",
    "finished_at": None,
    "cameras": {"c01": {"frames": 420, "missing": 0, "corrupt": 0, "fps": 10.0, "error": None}},
    "sets": 420,
    "dropped": 0,
    "persons": 3,
    "sets_per_s": 10.0,
    "frame_index": 419,
    "eta_s": 58.0,
    "stage_ms": {"detect": {"p50": 21.0, "p95": 30.5, "p99": 41.2}},
    "is_live": True,
    "status_url": STARTED.status_url,
    "websocket_url": STARTED.websocket_url,
    "frames_url": STARTED.frames_url,
}
EXAMPLE_PERSONS = ActivePersons(
    EXAMPLE_ID,
    419,
    "2024-05-01T09:30:41.900000Z",
    [
        ActivePerson(
            "0d9f3c62-2b7e-5c53-9d0c-6a2f0a1e7b11",
            ["c01", "c02"],
            (12.4, 6.1),
            0.2,
            "2024-05-01T09:30:41.900000Z",
        )
    ],
    1,
)
EXAMPLE_PAGE = {"items": [EXAMPLE_STATE], "total": 1, "next_cursor": None, "has_next": False}
EXAMPLE_START = {
    "environment_id": "campus",
    "cameras": ["c01", "c02"],
    "start_time": "2024-05-01T09:30:00Z",
    "end_time": "2024-05-01T09:35:00Z",
    "speed": 1.0,
    "seed": 7,
}
TaskId = Annotated[str, PathParameter(description="as POST start gave it", max_length=64)]


@post(
    f"{API}/start",
    status_code=202,
    opt={"role": "operator"},
    tags=["tasks"],
    responses=documented(
        202,
        StartedTask,
        STARTED,
        UnknownEnvironmentError,
        UnknownCameraError,
        InvalidTimeRangeError,
        InvalidInputError,
        DatabaseUnavailableError,
    ),
)
async def start_task(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[StartTask, Body(examples=[Example(summary="5 minutes", value=EXAMPLE_START)])],
) -> StartedTask:
    """Queue a task; a worker takes it within a second or so."""
    environment = visible_environment(services, caller, data.environment_id)
    wanted = data.cameras or await active_cameras(services.store, environment)
    cameras = [c.camera_id for c in chosen_cameras(environment, wanted)]
    await _check_times(services, environment, data, cameras)
    task_id = str(uuid.uuid4())
    details = {"environment_id": data.environment_id}
    async with services.store.connection() as connection, connection.transaction():
        await record(services, caller, "tasks.start", task_id, details, connection=connection)
        await services.store.create_task(_request(task_id, data, cameras), connection=connection)
    return StartedTask(
        task_id, f"{API}/{task_id}/status", f"/ws/tracking/{task_id}", f"/ws/frames/{task_id}"
    )


@get(
    f"{API}/{{task_id:str}}/status",
    opt={"role": "viewer"},
    tags=["tasks"],
    responses=documented(200, TaskView, EXAMPLE_STATE, TaskNotFoundError, DatabaseUnavailableError),
)
async def task_status(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> TaskView:
    """How far a task is, camera by camera, and what went wrong if anything did."""
    return await visible_task(services, caller, task_id)


@get(
    f"{API}/{{task_id:str}}/active-persons",
    opt={"role": "viewer"},
    tags=["tasks"],
    responses=documented(
        200, ActivePersons, EXAMPLE_PERSONS, TaskNotFoundError, RedisUnavailableError
    ),
)
async def active_persons(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> ActivePersons:
    """Everyone in the newest synchronised set."""
    task = await visible_task(services, caller, task_id)
    await record(services, caller, "active-persons.read", task.task_id)
    newest: Any = await services.redis.xrevrange(tracks_stream(task.task_id), count=1)
    if not newest:
        return ActivePersons(task.task_id, None, None, [], 0)
    update = msgspec.json.decode(newest[0][1][b"json"], type=TrackingUpdate)
    persons = persons_of(update)
    return ActivePersons(
        task.task_id,
        update.global_frame_index,
        update.timestamp_media_utc,
        persons,
        len(persons),
    )


@post(
    f"{API}/{{task_id:str}}/stop",
    status_code=202,
    opt={"role": "operator"},
    tags=["tasks"],
    responses=documented(202, TaskView, EXAMPLE_STATE, TaskNotFoundError, DatabaseUnavailableError),
)
async def stop_task(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> TaskView:
    """Ask a task to stop; what it has stored stays. Stopping an ended task changes nothing."""
    await visible_task(services, caller, task_id)
    async with services.store.connection() as connection, connection.transaction():
        await record(services, caller, "tasks.stop", task_id, connection=connection)
        row = await services.store.request_stop(task_id, connection=connection)
    return task_view(row, await read_progress(services.redis, row.task_id))


@get(
    f"{API}/active",
    opt={"role": "viewer"},
    tags=["tasks"],
    responses=documented(200, Page[TaskView], EXAMPLE_PAGE, DatabaseUnavailableError),
)
async def active_tasks(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> Page[TaskView]:
    """Every task that has not ended, newest first."""
    active = await services.store.active_tasks()
    rows = [row for row in active if caller.may_see(row.environment_id)]
    views = await _live_views(services, rows)
    return Page(views, len(views), None, has_next=False)


@get(
    API,
    opt={"role": "viewer"},
    tags=["tasks"],
    responses=documented(
        200,
        Page[TaskView],
        EXAMPLE_PAGE,
        InvalidInputError,
        UnknownEnvironmentError,
        DatabaseUnavailableError,
    ),
)
async def list_tasks(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    limit: Limit = 50,
    cursor: Cursor = None,
    status: FromQuery[TaskStatus | None] = None,
    environment_id: FromQuery[str | None] = None,
) -> Page[TaskView]:
    """All tasks, newest first; those that have not ended with their live figures."""
    if environment_id is not None:
        visible_environment(services, caller, environment_id)
    page = await services.store.list_tasks(
        limit, cursor, status, environment_id, visible=caller.environments
    )
    views = await _live_views(services, page.items)
    return Page(views, page.total, page.next_cursor, page.has_next)


async def _live_views(services: Services, rows: list[TaskRow]) -> list[TaskView]:
    running = [row.task_id for row in rows if row.status not in TERMINAL_STATUSES]
    live = await read_all_progress(services.redis, running)
    return [task_view(row, live.get(row.task_id)) for row in rows]


def persons_of(update: TrackingUpdate) -> list[ActivePerson]:
    """One entry per global id; its position is that of the camera that is surest."""
    persons: dict[str, ActivePerson] = {}
    for camera_id, seen in update.cameras.items():
        for track in seen.tracks:
            if track.global_id is None:
                continue
            before = persons.get(track.global_id)
            cameras = [*(before.cameras if before else []), camera_id]
            is_surer = before is None or _uncertainty(track.map_uncertainty_m) < _uncertainty(
                before.map_uncertainty_m
            )
            surest = track if is_surer or before is None else before
            persons[track.global_id] = ActivePerson(
                track.global_id,
                cameras,
                surest.map_coords,
                surest.map_uncertainty_m,
                update.timestamp_media_utc,
            )
    return [persons[global_id] for global_id in sorted(persons)]


def _uncertainty(metres: float | None) -> float:
    return float("inf") if metres is None else metres


async def _check_times(
    services: Services, environment: Environment, data: StartTask, cameras: list[str]
) -> None:
    start, end = data.start_time, data.end_time
    if start is not None and end is not None and start >= end:
        raise InvalidTimeRangeError(
            f"start_time {start.isoformat()} is not before end_time {end.isoformat()}: swap them"
        )
    if start is None and end is None:
        return
    recordings = await services.recordings.read(environment)
    spans = [
        (recordings[c].start_ns, recordings[c].end_ns)
        for c in cameras
        if c in recordings and recordings[c].sub_videos
    ]
    if not any(_overlap(span, start, end) for span in spans):
        raise InvalidTimeRangeError(_nothing_recorded(environment.environment_id, spans))


def _overlap(span: tuple[int, int], start: datetime | None, end: datetime | None) -> bool:
    starts_in_time = end is None or span[0] < from_datetime(end)
    return starts_in_time and (start is None or from_datetime(start) < span[1])


def _nothing_recorded(environment_id: str, spans: list[tuple[int, int]]) -> str:
    if not spans:
        return f"environment {environment_id!r} has no recordings: upload its sub-videos first"
    first = to_rfc3339(min(start for start, _ in spans))
    last = to_rfc3339(max(end for _, end in spans))
    return (
        f"environment {environment_id!r} has recordings from {first} to {last} and none in the "
        f"range asked for: see /api/v1/environments/{environment_id}/date-ranges"
    )


def _request(task_id: str, data: StartTask, cameras: list[str]) -> TaskRequest:
    speed = 1.0 if data.speed is None else data.speed
    return TaskRequest(
        task_id=task_id,
        environment_id=data.environment_id,
        cameras=cameras,
        start_time=_rfc3339(data.start_time),
        end_time=_rfc3339(data.end_time),
        speed=None if speed == "max" else float(speed),
        seed=data.seed,
    )


def _rfc3339(time: datetime | None) -> str | None:
    return None if time is None else to_rfc3339(from_datetime(time.astimezone(UTC)))


HANDLERS: list[ControllerRouterHandler] = [
    start_task,
    task_status,
    active_persons,
    stop_task,
    active_tasks,
    list_tasks,
]
