"""One job, in a process of its own: made in a scratch folder, then put into the object store whole.

Whatever goes wrong ends the job as FAILED with the reason, and nothing half done is offered: the
file's key is written only with the status COMPLETED, by whoever still holds the lease.
"""

import asyncio
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from control_plane.analytics.scope import Scope, checked_range, open_scope
from control_plane.analytics.spans import Range
from control_plane.catalogue import known_environment
from control_plane.embedded import data_folder
from control_plane.exports import tracking_data
from control_plane.exports.files import delete_files, key_of, open_exports, sha256_of, writing
from control_plane.exports.jobs import (
    COMPLETE,
    FAIL,
    SELECT,
    ClaimedJob,
    Manifest,
    as_claimed,
)
from control_plane.exports.lease import Lease
from control_plane.exports.orders import (
    Order,
    ReportOrder,
    TrackingDataOrder,
    as_query,
    kind_of,
)
from control_plane.settings import Settings
from control_plane.store import Store
from homography.environment import Environment, load_environments
from plugins.errors import DatabaseUnavailableError, LeaseLostError, SpotOnError

log = structlog.get_logger()
T = TypeVar("T")
Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A file, what is in it, and the media time it covers (None: nothing is stored)."""

    path: Path
    media_type: str
    rows: int
    covers: Range | None


def run_job(settings: Settings, job_id: str, owner: str) -> bool:
    """Makes a job's file; False where it FAILED. LeaseLostError when it was cancelled meanwhile,
    DatabaseUnavailableError when its end could not be written: it will be tried again.
    """
    url = settings.database_url or ""
    job = _with_store(url, lambda store: _read(store, job_id))
    with Lease(url, job_id, owner) as lease:
        try:
            with writing():
                _make_and_put(settings, job, owner, lease.report)
        except (LeaseLostError, DatabaseUnavailableError):
            raise
        except SpotOnError as error:
            log.warning("export_failed", job_id=job_id, error=str(error))
            reason = str(error)
        except Exception:
            log.exception("export_failed", job_id=job_id)
            reason = "something went wrong inside; the log has it under this job's id"
        else:
            return True
    _with_store(url, lambda store: _fail(store, job_id, owner, reason))
    return False


def make_file(settings: Settings, order: Order, folder: Path, report: Report) -> Made:
    """The file of an order in ``folder``, without any job; OSError or
    NotWrittenError for a full disk.
    """
    url = settings.database_url or ""
    if isinstance(order, TrackingDataOrder):
        return _with_store(url, lambda s: _tracking_data(settings, s, order, folder, report))
    if isinstance(order, ReportOrder):
        # Drawing is slow to import.
        from control_plane.exports.report import make_report  # noqa: PLC0415

        environment = environment_of(settings, order.environment_id)
        return _with_store(url, lambda s: make_report(s, environment, order, folder, report))
    from control_plane.exports.video import make_video  # noqa: PLC0415  # brings GStreamer in

    return make_video(settings, order, folder, report)


def environment_of(settings: Settings, environment_id: str) -> Environment:
    """From the files this process sees."""
    return known_environment(load_environments(settings.environment_folders()), environment_id)


def manifest_of(job_id: str, created_at: datetime, order: Order, made: Made) -> Manifest:
    """What a file is."""
    return Manifest(
        job_id=job_id,
        kind=kind_of(order),
        query=as_query(order),
        created_at=created_at,
        file_name=made.path.name,
        media_type=made.media_type,
        rows=made.rows,
        bytes=made.path.stat().st_size,
        sha256=sha256_of(made.path),
    )


async def _tracking_data(
    settings: Settings, store: Store, order: TrackingDataOrder, folder: Path, report: Report
) -> Made:
    environment = environment_of(settings, order.environment_id)
    path = folder / f"{order.environment_id}-{order.rows}.{tracking_data.ENDINGS[order.format]}"
    async with (
        store.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        scope = await scope_of(connection, environment, order)
        rows = await tracking_data.write_tracking_data(connection, scope, order, path, report)
    return Made(path, tracking_data.MEDIA_TYPES[order.format], rows, scope.range)


async def scope_of(connection: Any, environment: Environment, order: TrackingDataOrder) -> Scope:
    """What an order is about."""
    start, end = checked_range(order.start_time, order.end_time)
    return await open_scope(connection, environment, start, end, order.task_id)


def _make_and_put(settings: Settings, job: ClaimedJob, owner: str, report: Report) -> None:
    store = open_exports(settings)
    with tempfile.TemporaryDirectory(prefix="export-", dir=data_folder(settings)) as folder:
        made = make_file(settings, job.order, Path(folder), report)
        report(0.99)
        manifest = manifest_of(job.job_id, job.created_at, job.order, made)
        key = key_of(job.job_id, job.attempts, made.path.name)
        try:
            store.put(key, made.path)
            about = msgspec.json.format(msgspec.json.encode(manifest))
            store.put(key_of(job.job_id, job.attempts, "manifest.json"), about)
            _with_store(
                settings.database_url or "",
                lambda s: _complete(s, owner, settings.export_days, key, (manifest, made)),
            )
        except BaseException:
            with suppress(SpotOnError):
                delete_files(store, job.job_id, job.attempts)
            raise


async def _complete(
    store: Store, owner: str, days: int, key: str, file: tuple[Manifest, Made]
) -> None:
    manifest, made = file
    encoded = msgspec.json.encode(manifest).decode()
    covers = made.covers
    times = (None, None) if covers is None else (covers.start_time, covers.end_time)
    async with store.connection() as connection:
        values = (uuid.UUID(manifest.job_id), owner, days, key, encoded, *times)
        if not await connection.fetchval(COMPLETE, *values):
            raise LeaseLostError(f"export {manifest.job_id} was cancelled, or another has taken it")


async def _fail(store: Store, job_id: str, owner: str, reason: str) -> None:
    async with store.connection() as connection:
        await connection.execute(FAIL, uuid.UUID(job_id), owner, reason)


async def _read(store: Store, job_id: str) -> ClaimedJob:
    async with store.connection() as connection:
        return as_claimed(await connection.fetchrow(SELECT, uuid.UUID(job_id)))


def _with_store(url: str, action: Callable[[Store], Awaitable[T]]) -> T:
    async def opened() -> T:
        store = Store(url)
        try:
            return await action(store)
        finally:
            await store.close()

    return asyncio.run(opened())
