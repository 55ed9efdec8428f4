"""``/api/v1/export/jobs``: how far exports are, and their files."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from litestar import Request, Response, delete, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, PathParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller
from control_plane.audit import record
from control_plane.errors import ExportNotFoundError, documented
from control_plane.export_requests import EXAMPLE
from control_plane.exports import jobs
from control_plane.exports.files import open_exports
from control_plane.exports.jobs import API, ExportJob, Manifest, Status
from control_plane.pages import Cursor, Limit, Page
from control_plane.services import Services
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    MissingRecordingError,
    ObjectStoreUnavailableError,
)
from plugins.media.object_store import ObjectStore

JobId = Annotated[str, PathParameter(description="id of an export", max_length=64)]
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
EXAMPLE_PAGE = {"items": [EXAMPLE], "total": None, "next_cursor": None, "has_next": False}
FILE = ResponseSpec(
    bytes,
    generate_examples=False,
    media_type="application/octet-stream",
    description="the file, of the type in its manifest",
)
ONE = documented(200, ExportJob, EXAMPLE, ExportNotFoundError, DatabaseUnavailableError)


@get(API, tags=["export"], opt={"role": "viewer"},
     responses=documented(200, Page[ExportJob], EXAMPLE_PAGE, InvalidInputError,
                          DatabaseUnavailableError))  # fmt: skip
async def list_jobs(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    status: FromQuery[Status | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ExportJob]:
    """Exports of the environments the caller may see, newest first."""
    async with services.store.connection() as connection:
        return await jobs.list_jobs(connection, caller.environments, status, limit, cursor)


@get(f"{API}/{{job_id:str}}/status", tags=["export"], opt={"role": "viewer"}, responses=ONE)
async def job_status(
    services: NamedDependency[Services], caller: NamedDependency[Caller], job_id: JobId
) -> ExportJob:
    """How far an export is; with its file's manifest once it is COMPLETED."""
    async with services.store.connection() as connection:
        return (await jobs.find_job(connection, job_id, caller.environments))[0]


@get(f"{API}/{{job_id:str}}/download", tags=["export"], opt={"role": "viewer"},
     responses=documented(200, bytes, None, ExportNotFoundError, DatabaseUnavailableError,
                          ObjectStoreUnavailableError)
     | {200: FILE, 206: FILE,
        304: ResponseSpec(None, generate_examples=False, description="as If-None-Match has it"),
        416: ResponseSpec(None, generate_examples=False, description="no such range")})  # fmt: skip
async def download(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    job_id: JobId,
) -> Response[Any]:
    """The file, whole or a range of it (``Range: bytes=…``); its ETag is its SHA-256."""
    async with services.store.connection() as connection:
        job, key = await jobs.find_job(connection, job_id, caller.environments)
        if key is None or job.manifest is None:
            raise ExportNotFoundError(
                f"export {job.job_id} is {job.status} and has no file: see its status"
            )
        await record(services, caller, "exports.read", job.job_id, connection=connection)
    tag = f'"{job.manifest.sha256}"'
    headers = _headers(job.manifest, tag)
    if tag in [part.strip() for part in request.headers.get("if-none-match", "").split(",")]:
        return Response(b"", status_code=304, headers=headers)
    size = job.manifest.bytes
    asked = wanted_range(request.headers.get("range", ""), size)
    if asked is not None and request.headers.get("if-range", tag) != tag:
        asked = None
    if asked is not None and asked.start >= asked.stop:
        return Response(
            b"", status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"}
        )
    store = await asyncio.to_thread(open_exports, services.settings)
    await _check_present(store, key, job.job_id)
    part = range(size) if asked is None else asked
    if asked is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    headers["Content-Length"] = str(len(part))
    status = 200 if asked is None else 206
    body = chunks(store, key, part)
    media_type = job.manifest.media_type
    return Stream(body, status_code=status, media_type=media_type, headers=headers)


@delete(f"{API}/{{job_id:str}}", status_code=200, tags=["export"], opt={"role": "operator"},
        responses=ONE)  # fmt: skip
async def cancel_job(
    services: NamedDependency[Services], caller: NamedDependency[Caller], job_id: JobId
) -> ExportJob:
    """Stop an export, or take its file away; one that has ended otherwise stays as it is."""
    async with services.store.connection() as connection, connection.transaction():
        await jobs.find_job(connection, job_id, caller.environments)
        await jobs.cancel(connection, job_id)
        await record(services, caller, "exports.delete", job_id, connection=connection)
        return (await jobs.find_job(connection, job_id, caller.environments))[0]


def wanted_range(header: str, size: int) -> range | None:
    """The bytes a Range header of one range asks for (RFC 9110, 14.2), empty where there are none;
    None for the whole file, which is also the answer to several ranges and to what is no range.
    """
    match = RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(size - int(match[2]), 0), size)
    first, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    return range(first, min(last + 1, size))


async def chunks(store: ObjectStore, key: str, part: range) -> AsyncIterator[bytes]:
    """Bytes of an object, read off the event loop; the rest of what the store sends is left."""
    left, source = len(part), store.stream(key, part.start)
    while left > 0 and (chunk := await asyncio.to_thread(_next, source)):
        yield chunk[:left]
        left -= len(chunk)


def _next(source: Iterator[bytes]) -> bytes:
    return next(source, b"")


async def _check_present(store: ObjectStore, key: str, job_id: str) -> None:
    try:
        await asyncio.to_thread(store.head, key)
    except MissingRecordingError as error:
        raise ExportNotFoundError(
            f"the file of export {job_id} is gone from {store.url}: export it again"
        ) from error


def _headers(manifest: Manifest, tag: str) -> dict[str, str]:
    return {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{manifest.file_name}"',
    }


HANDLERS: list[ControllerRouterHandler] = [list_jobs, job_status, download, cancel_job]
