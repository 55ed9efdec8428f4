"""The queue of exports, in PostgreSQL: it survives restarts, and each job has one owner at a time.

A job is claimed with a lease that its process renews; only who holds the lease may finish it.
When the process dies the lease runs out and the job is claimed again, MAX_ATTEMPTS times at most.
"""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

import msgspec

from control_plane.errors import ExportNotFoundError
from control_plane.exports.orders import Kind, Order, kind_of, parse_order
from control_plane.pages import Page, decode_moment, encode_cursor
from control_plane.store import Store

Status = Literal["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "EXPIRED", "WITHDRAWN"]
LEASE_S = 20.0
MAX_ATTEMPTS = 3
FORGOTTEN_AFTER_DAYS = 30
API = "/api/v1/export/jobs"

INSERT = """insert into export_jobs
  (job_id, kind, environment_id, query, created_by, schedule_id)
  values ($1, $2, $3, $4::jsonb, $5, $6) returning *"""
SELECT = "select * from export_jobs where job_id = $1"
PAGE = """select * from export_jobs
  where ($1::text[] is null or environment_id = any($1)) and ($2::text is null or status = $2)
    and ($3::timestamptz is null or created_at < $3 or (created_at = $3 and job_id > $4))
  order by created_at desc, job_id limit $5"""
FAIL_HOPELESS = """update export_jobs set status = 'FAILED', finished_at = now(),
    lease_owner = null, lease_until = null,
    error = 'its process died ' || attempts || ' times: see the log, then ask for less at a time'
  where status = 'RUNNING' and attempts >= $3 and lease_until < now()"""
CLAIM = f"""with hopeless as ({FAIL_HOPELESS})
  update export_jobs set status = 'RUNNING', lease_owner = $1, attempts = attempts + 1,
    lease_until = now() + make_interval(secs => $2), has_objects = true, progress = 0,
    started_at = coalesce(started_at, now())
  where job_id = (
    select job_id from export_jobs
    where status = 'QUEUED' or (status = 'RUNNING' and attempts < $3 and lease_until < now())
    order by created_at, job_id limit 1 for update skip locked)
  returning *"""  # noqa: S608  # constants only
RENEW = """update export_jobs set lease_until = now() + make_interval(secs => $3), progress = $4
  where job_id = $1 and lease_owner = $2 and status = 'RUNNING' returning true"""
RELEASE = """update export_jobs set status = 'QUEUED', lease_owner = null, lease_until = null,
    attempts = greatest(attempts - 1, 0)
  where job_id = $1 and lease_owner = $2 and status = 'RUNNING'"""
COMPLETE = """update export_jobs set status = 'COMPLETED', progress = 1, finished_at = now(),
    expires_at = now() + make_interval(days => $3), file_key = $4, manifest = $5::jsonb,
    covers_from = $6, covers_to = $7, lease_owner = null, lease_until = null
  where job_id = $1 and lease_owner = $2 and status = 'RUNNING' returning true"""
FAIL = """update export_jobs set status = 'FAILED', error = $3, finished_at = now(),
    lease_owner = null, lease_until = null
  where job_id = $1 and lease_owner = $2 and status = 'RUNNING'"""
CANCEL = """update export_jobs set status = 'CANCELLED', file_key = null, manifest = null,
    finished_at = coalesce(finished_at, now()), lease_owner = null, lease_until = null
  where job_id = $1 and status in ('QUEUED', 'RUNNING', 'COMPLETED') returning true"""
EXPIRE = """update export_jobs set status = 'EXPIRED', file_key = null
  where status = 'COMPLETED' and expires_at < now()"""
FORGET = """delete from export_jobs where not has_objects
  and finished_at < now() - make_interval(days => $1) and status not in ('QUEUED', 'RUNNING')
  and coalesce(expires_at, now()) <= now()"""
LITTER = """select job_id from export_jobs where has_objects
  and status in ('FAILED', 'CANCELLED', 'EXPIRED', 'WITHDRAWN')"""
CLEARED = "update export_jobs set has_objects = false where job_id = $1"


class Manifest(msgspec.Struct, frozen=True):
    """What a file is: how it was asked for, how much is in it, and its SHA-256. ``rows`` is rows,
    pictures or sets, as the kind has them.
    """

    job_id: str
    kind: Kind
    query: dict[str, Any]
    created_at: datetime
    file_name: str
    media_type: str
    rows: int
    bytes: int
    sha256: str


class ExportJob(msgspec.Struct, frozen=True):
    """An export as clients see it. WITHDRAWN: somebody who was in the file has been erased."""

    job_id: str
    kind: Kind
    environment_id: str
    status: Status
    progress: float
    error: str | None
    query: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    manifest: Manifest | None
    status_url: str
    download_url: str | None


class ClaimedJob(msgspec.Struct, frozen=True):
    """A job as its process sees it."""

    job_id: str
    environment_id: str
    order: Order
    created_at: datetime
    attempts: int


async def enqueue(
    connection: Any,
    order: Order,
    environment_id: str,
    created_by: str | None,
    schedule_id: uuid.UUID | None = None,
) -> ExportJob:
    """A new job, QUEUED."""
    query = msgspec.json.encode(order).decode()
    who = None if created_by is None else uuid.UUID(created_by)
    values = (uuid.uuid4(), kind_of(order), environment_id, query, who, schedule_id)
    return as_job(await connection.fetchrow(INSERT, *values))


async def find_job(
    connection: Any, job_id: str, visible: Collection[str] | None
) -> tuple[ExportJob, str | None]:
    """A job of a visible environment (None: all) and its file's key; ExportNotFoundError."""
    row = await connection.fetchrow(SELECT, parse_job_id(job_id))
    if row is None or (visible is not None and row["environment_id"] not in visible):
        raise unknown_job(job_id)
    return as_job(row), row["file_key"]


async def list_jobs(
    connection: Any,
    visible: Collection[str] | None,
    status: Status | None,
    limit: int,
    cursor: str | None,
) -> Page[ExportJob]:
    """Newest first. InvalidInputError for a cursor that is not ours."""
    after = decode_moment(cursor)
    rows = await connection.fetch(PAGE, visible, status, *after, limit + 1)
    has_next = len(rows) > limit
    last = rows[limit - 1] if has_next else None
    following = encode_cursor(last["created_at"].isoformat(), str(last["job_id"])) if last else None
    return Page([as_job(row) for row in rows[:limit]], None, following, has_next)


async def claim(store: Store, owner: str) -> ClaimedJob | None:
    """Gives ``owner`` the oldest job nobody works on; None if there is none."""
    async with store.connection() as connection:
        row = await connection.fetchrow(CLAIM, owner, LEASE_S, MAX_ATTEMPTS)
    return None if row is None else as_claimed(row)


async def release(store: Store, job_id: str, owner: str) -> None:
    """Lets somebody else begin it anew at once."""
    async with store.connection() as connection:
        await connection.execute(RELEASE, uuid.UUID(job_id), owner)


async def cancel(connection: Any, job_id: str) -> bool:
    """Stops a job or takes its file away; False where there is neither to do."""
    return bool(await connection.fetchval(CANCEL, parse_job_id(job_id)))


def as_claimed(row: Any) -> ClaimedJob:
    """A row of export_jobs."""
    order = parse_order(row["kind"], row["query"])
    place = (str(row["job_id"]), row["environment_id"])
    return ClaimedJob(*place, order, row["created_at"], row["attempts"])


def as_job(row: Any) -> ExportJob:
    """A row of export_jobs."""
    job_id, has_file = str(row["job_id"]), row["file_key"] is not None
    manifest = row["manifest"]
    return ExportJob(
        job_id=job_id,
        kind=row["kind"],
        environment_id=row["environment_id"],
        status=row["status"],
        progress=round(row["progress"], 4),
        error=row["error"],
        query={k: v for k, v in msgspec.json.decode(row["query"]).items() if v is not None},
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        manifest=None if manifest is None else msgspec.json.decode(manifest, type=Manifest),
        status_url=f"{API}/{job_id}/status",
        download_url=f"{API}/{job_id}/download" if has_file else None,
    )


def parse_job_id(job_id: str) -> uuid.UUID:
    """ExportNotFoundError for what is no UUID."""
    try:
        return uuid.UUID(job_id)
    except ValueError as error:
        raise unknown_job(job_id) from error


def unknown_job(job_id: str) -> ExportNotFoundError:
    """No such export, and where to look."""
    return ExportNotFoundError(f"there is no export {job_id!r}; GET {API} lists those there are")
