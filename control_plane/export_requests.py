"""``POST /api/v1/export/…`` and reports: what is asked for becomes a job; and screenshots."""

import asyncio
import hashlib
import io
import zipfile
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment, visible_task
from control_plane.access.master_key import master_key
from control_plane.analytics.people import find_person
from control_plane.analytics.scope import checked_range
from control_plane.audit import record
from control_plane.errors import (
    PersonNotFoundError,
    PictureNotFoundError,
    ScheduleNotFoundError,
    TaskNotFoundError,
    documented,
)
from control_plane.exports import schedules
from control_plane.exports.jobs import ExportJob, enqueue
from control_plane.exports.orders import (
    Every,
    Id,
    Order,
    ReportOrder,
    TrackingDataOrder,
    VideoOrder,
    as_query,
    kind_of,
)
from control_plane.exports.schedules import Schedule
from control_plane.pages import Page
from control_plane.services import Services
from control_plane.streaming.pictures import newest_set, update_of, with_overlay
from plugins.encryption import Cipher, open_cipher
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    InvalidTimeRangeError,
    UnknownCameraError,
    UnknownEnvironmentError,
)
from plugins.media.overlays import Drawing, OverlayStyle
from plugins.person_crops import crop_purpose
from plugins.plan import chosen_cameras
from plugins.wire import BinarySet

EXPORT = "/api/v1/export"
REPORTS = "/api/v1/analytics/reports"
MAX_VIDEO_S = 1800
MAX_PERSONS = 500
CROPS = """
select distinct on (global_id) global_id::text, camera_id, frame_index, media_time, quality, jpeg
from person_crops join persons using (task_id, global_id) where task_id = $1
order by global_id, quality desc, frame_index limit $2"""
JOB_ID = "1f0f4f7e-7a1e-4a54-9d5a-3a1c0b7b6f52"
EXAMPLE: dict[str, Any] = {
    "job_id": JOB_ID,
    "kind": "tracking-data",
    "environment_id": "campus",
    "status": "QUEUED",
    "progress": 0.0,
    "error": None,
    "query": {"environment_id": "campus", "format": "csv", "rows": "detections"},
    "created_at": "2026-01-01T12:00:00Z",
    "started_at": None,
    "finished_at": None,
    "expires_at": None,
    "manifest": None,
    "status_url": f"{EXPORT}/jobs/{JOB_ID}/status",
    "download_url": None,
}
EXAMPLE_SCHEDULE: dict[str, Any] = {
    "schedule_id": "b8a7c1de-3a54-4d0f-8f35-1f2e3d4c5b6a",
    "environment_id": "campus",
    "every": "daily",
    "format": "html",
    "created_at": "2026-01-01T12:00:00Z",
    "next_due": "2026-01-02T00:00:00Z",
}
EXAMPLE_SCHEDULES = {
    "items": [EXAMPLE_SCHEDULE],
    "total": 1,
    "next_cursor": None,
    "has_next": False,
}
ERRORS = (
    UnknownEnvironmentError,
    UnknownCameraError,
    InvalidTimeRangeError,
    InvalidInputError,
    DatabaseUnavailableError,
)
ScheduleId = Annotated[str, PathParameter(description="id of a schedule", max_length=64)]
TaskId = Annotated[str, QueryParameter(description="id of a task", max_length=64)]


class NewSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report every hour, day or week (UTC), of the newest hour, day or week that is stored."""

    environment_id: Id
    every: Every
    format: Literal["html", "json"] = "html"


@post(f"{EXPORT}/tracking-data", status_code=202, tags=["export"], opt={"role": "operator"},
      responses=documented(202, ExportJob, EXAMPLE, *ERRORS, PersonNotFoundError,
                           TaskNotFoundError))  # fmt: skip
async def export_tracking_data(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: JSONBody[TrackingDataOrder],
) -> ExportJob:
    """Stored boxes or positions as CSV, JSON Lines or Parquet."""
    environment = visible_environment(services, caller, data.environment_id)
    checked_range(data.start_time, data.end_time)
    if data.camera_id is not None:
        chosen_cameras(environment, [data.camera_id])
    if data.task_id is not None:
        task = await visible_task(services, caller, data.task_id)
        if task.environment_id != data.environment_id:
            raise InvalidInputError(
                f"task {task.task_id} is of environment {task.environment_id}: name that one"
            )
    if data.global_id is not None:
        async with services.store.connection() as connection:
            await find_person(connection, data.global_id, data.task_id)
    return await _queued(services, caller, data, data.environment_id)


@post([f"{EXPORT}/analytics-report", f"{REPORTS}/generate"], status_code=202, tags=["export"],
      opt={"role": "operator"}, responses=documented(202, ExportJob, EXAMPLE, *ERRORS))  # fmt: skip
async def export_report(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: JSONBody[ReportOrder],
) -> ExportJob:
    """Figures of an environment as one HTML page, ready to print, or as JSON."""
    visible_environment(services, caller, data.environment_id)
    checked_range(data.start_time, data.end_time)
    return await _queued(services, caller, data, data.environment_id)


@post(f"{EXPORT}/video-with-overlays", status_code=202, tags=["export"], opt={"role": "operator"},
      responses=documented(202, ExportJob, EXAMPLE | {"kind": "video"}, *ERRORS,
                           TaskNotFoundError))  # fmt: skip
async def export_video(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: JSONBody[VideoOrder],
) -> ExportJob:
    """A task's footage with boxes, ids and the floor plan, as an MP4 of half an hour at most."""
    task = await visible_task(services, caller, data.task_id)
    environment = visible_environment(services, caller, task.environment_id)
    chosen_cameras(environment, data.cameras)
    start, end = checked_range(data.start_time, data.end_time)
    if start is not None and end is not None and (end - start).total_seconds() > MAX_VIDEO_S:
        raise InvalidTimeRangeError(
            f"a video has {MAX_VIDEO_S} s at most: ask for the range in pieces"
        )
    return await _queued(services, caller, data, task.environment_id)


@post(f"{REPORTS}/schedules", tags=["export"], opt={"role": "operator"},
      responses=documented(201, Schedule, EXAMPLE_SCHEDULE, UnknownEnvironmentError,
                           InvalidInputError, DatabaseUnavailableError))  # fmt: skip
async def add_schedule(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: JSONBody[NewSchedule],
) -> Schedule:
    """Have a report made every hour, day or week; each becomes a job under export/jobs."""
    visible_environment(services, caller, data.environment_id)
    async with services.store.connection() as connection, connection.transaction():
        made = await schedules.add_schedule(
            connection, data.environment_id, data.every, data.format, caller.user_id
        )
        details = {"environment_id": data.environment_id, "every": data.every}
        audited = (services, caller, "schedules.add", made.schedule_id, details)
        await record(*audited, connection=connection)
    return made


@get(f"{REPORTS}/schedules", tags=["export"], opt={"role": "viewer"},
     responses=documented(200, Page[Schedule], EXAMPLE_SCHEDULES,
                          DatabaseUnavailableError))  # fmt: skip
async def list_schedules(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> Page[Schedule]:
    """Reports that are made again and again."""
    async with services.store.connection() as connection:
        found = await schedules.list_schedules(connection, caller.environments)
    return Page(found, len(found), None, has_next=False)


@delete(f"{REPORTS}/schedules/{{schedule_id:str}}", tags=["export"], opt={"role": "operator"},
        responses=documented(204, None, None, ScheduleNotFoundError,
                             DatabaseUnavailableError))  # fmt: skip
async def delete_schedule(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    schedule_id: ScheduleId,
) -> None:
    """Make no more of these reports; those there are stay."""
    async with services.store.connection() as connection, connection.transaction():
        await schedules.find_schedule(connection, schedule_id, caller.environments)
        await schedules.delete_schedule(connection, schedule_id)
        audited = (services, caller, "schedules.delete", schedule_id)
        await record(*audited, connection=connection)


@get(f"{EXPORT}/screenshots", tags=["export"], opt={"role": "operator"},
     media_type="application/zip",
     responses=documented(200, bytes, None, TaskNotFoundError, PictureNotFoundError,
                          DatabaseUnavailableError)
     | {200: ResponseSpec(bytes, generate_examples=False, media_type="application/zip",
                          description="pictures and index.json")})  # fmt: skip
async def screenshots(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    task_id: TaskId,
    frame_index: Annotated[int | None, QueryParameter(ge=0, le=2**40)] = None,
    persons: Annotated[int, QueryParameter(ge=0, le=MAX_PERSONS, description="at most")] = 100,
) -> Response[bytes]:
    """A task's newest set, or another that is still on show, with boxes and without, and the best
    picture of each person, as a zip.
    """
    task = await visible_task(services, caller, task_id)
    await record(services, caller, "screenshots.export", task.task_id)
    shown = await _shown(services, task.task_id, frame_index)
    async with services.store.connection() as connection:
        rows = await connection.fetch(CROPS, task.task_id, persons)
        cipher = await open_cipher(connection, master_key(services.settings)) if rows else None
    if shown is None and not rows:
        raise PictureNotFoundError(
            f"task {task.task_id} has no set on show and no pictures of people: start a replay "
            f"with POST /api/v1/tracking/controls/{task.task_id}/play, then ask again"
        )
    archive = await asyncio.to_thread(_zipped, task.task_id, shown, rows, cipher)
    name = f"screenshots-{task.task_id[:8]}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }
    return Response(archive, media_type="application/zip", headers=headers)


async def _queued(
    services: Services, caller: Caller, order: Order, environment_id: str
) -> ExportJob:
    async with services.store.connection() as connection, connection.transaction():
        job = await enqueue(connection, order, environment_id, caller.user_id)
        details = {"kind": kind_of(order), "query": as_query(order)}
        await record(services, caller, "exports.start", job.job_id, details, connection=connection)
    return job


async def _shown(services: Services, task_id: str, frame_index: int | None) -> BinarySet | None:
    try:
        return await newest_set(services.redis, task_id, frame_index)
    except PictureNotFoundError:
        if frame_index is not None:
            raise
        return None


def _zipped(task_id: str, shown: BinarySet | None, rows: list[Any], cipher: Cipher | None) -> bytes:
    """Stored, not deflated: JPEGs do not shrink."""
    pictures = _of_cameras(shown) if shown else {}
    for row in rows if cipher else ():
        jpeg = cipher.decrypt(row["jpeg"], crop_purpose(task_id)) if cipher else b""
        pictures[f"persons/{row['global_id']}.jpg"] = jpeg
    index = {
        "task_id": task_id,
        "frame_index": shown.frame_index if shown else None,
        "made_at": datetime.now().astimezone(),
        "pictures": [
            {"name": name, "bytes": len(jpeg), "sha256": hashlib.sha256(jpeg).hexdigest()}
            for name, jpeg in pictures.items()
        ],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, jpeg in pictures.items():
            archive.writestr(name, jpeg)
        archive.writestr("index.json", msgspec.json.format(msgspec.json.encode(index)))
    return buffer.getvalue()


def _of_cameras(shown: BinarySet) -> dict[str, bytes]:
    views, pictures = update_of(shown).cameras, {}
    for camera_id, jpeg in shown.jpegs.items():
        drawing = Drawing(OverlayStyle(), camera_id=camera_id)
        pictures[f"cameras/{camera_id}.jpg"] = jpeg
        if camera_id in views:
            drawn = with_overlay(jpeg, views[camera_id], drawing)
            pictures[f"cameras/{camera_id}-boxes.jpg"] = drawn
    return pictures


HANDLERS: list[ControllerRouterHandler] = [
    export_tracking_data,
    export_report,
    export_video,
    add_schedule,
    list_schedules,
    delete_schedule,
    screenshots,
]
