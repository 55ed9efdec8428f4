"""``/api/v1/media`` and ``/api/v1/stream``: pictures for people and for ``<img>``."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, FromQuery, PathParameter, QueryParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_task
from control_plane.access.master_key import master_key
from control_plane.audit import record
from control_plane.errors import (
    PersonNotFoundError,
    PictureNotFoundError,
    TaskNotFoundError,
    documented,
)
from control_plane.identity.person_details import parse_person_id, visible_task_with
from control_plane.services import Services
from control_plane.streaming.focus_state import read_focus, viewer_of
from control_plane.streaming.mjpeg import BOUNDARY, parts_of
from control_plane.streaming.pictures import (
    jpeg_of,
    mosaic_of,
    newest_set,
    read_trails,
    update_of,
    with_overlay,
)
from control_plane.tasks import TaskId
from plugins.encryption import open_cipher
from plugins.errors import InvalidInputError, RedisUnavailableError
from plugins.media.overlays import Drawing, OverlayStyle
from plugins.person_crops import read_best_crop
from plugins.wire import BinarySet

API = "/api/v1/media"
STYLE_KEPT_S = 30 * 24 * 3600
LIVE = "private, no-cache"  # may be kept, and has to be asked for by its ETag
FIXED = "private, max-age=3600, immutable"
CameraId = Annotated[str, PathParameter(description="such as c01", max_length=64)]
FrameIndex = Annotated[
    int | None,
    QueryParameter(ge=0, le=2**53, description="a set still held; the newest if left out"),
]
AnyRequest = Request[Any, Any, Any]
EXAMPLE_STYLE = msgspec.to_builtins(OverlayStyle())
JPEG = ResponseSpec(
    bytes, generate_examples=False, media_type="image/jpeg", description="a JPEG picture"
)
UNCHANGED = ResponseSpec(None, generate_examples=False, description="as If-None-Match has it")


def _picture_answers() -> dict[int, ResponseSpec]:
    errors = documented(
        200,
        bytes,
        None,
        TaskNotFoundError,
        PictureNotFoundError,
        PersonNotFoundError,
        RedisUnavailableError,
    )
    return errors | {200: JPEG, 304: UNCHANGED}


@get(
    f"{API}/frames/{{task_id:str}}/multi-camera",
    tags=["media"],
    opt={"role": "viewer"},
    media_type="image/jpeg",
    responses=_picture_answers(),
)
async def all_cameras(
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    frame_index: FrameIndex = None,
    overlay: FromQuery[bool] = True,
) -> Response[bytes]:
    """All cameras of one synchronised set in one picture."""
    task = await visible_task(services, caller, task_id)
    found = await newest_set(services.redis, task.task_id, frame_index)
    style = await _style_of(services, caller) if overlay else None
    focus_id = await _focus_of(services, caller, task.task_id)
    tag = _tag(task.task_id, found, style, focus_id, "mosaic")
    if _is_known(request, tag):
        return _unchanged(tag, frame_index)
    cameras = list(task.cameras) or list(found.jpegs)
    drawings = {}
    if style is not None:
        trails = await read_trails(
            services.redis, task.task_id, found.frame_index, style.trail_sets
        )
        drawings = {c: Drawing(style, trails.get(c, {}), focus_id, c) for c in cameras}
    jpeg = await asyncio.to_thread(mosaic_of, found, cameras, drawings)
    return _picture(jpeg, tag, frame_index)


@get(
    f"{API}/frames/{{task_id:str}}/{{camera_id:str}}",
    tags=["media"],
    opt={"role": "viewer"},
    media_type="image/jpeg",
    responses=_picture_answers(),
)
async def camera_picture(
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    camera_id: CameraId,
    frame_index: FrameIndex = None,
) -> Response[bytes]:
    """A camera's newest picture with boxes, names and trails, in the caller's own style."""
    task = await visible_task(services, caller, task_id)
    found = await newest_set(services.redis, task.task_id, frame_index)
    jpeg = jpeg_of(found, camera_id)
    style = await _style_of(services, caller)
    focus_id = await _focus_of(services, caller, task.task_id)
    tag = _tag(task.task_id, found, style, focus_id, camera_id)
    if _is_known(request, tag):
        return _unchanged(tag, frame_index)
    trails = await read_trails(services.redis, task.task_id, found.frame_index, style.trail_sets)
    view = update_of(found).cameras.get(camera_id)
    drawing = Drawing(style, trails.get(camera_id, {}), focus_id, camera_id)
    drawn = await asyncio.to_thread(with_overlay, jpeg, view, drawing)
    return _picture(drawn, tag, frame_index)


@get(
    f"{API}/frames/{{task_id:str}}/{{camera_id:str}}/raw",
    tags=["media"],
    opt={"role": "viewer"},
    media_type="image/jpeg",
    responses=_picture_answers(),
)
async def raw_picture(
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    camera_id: CameraId,
    frame_index: FrameIndex = None,
) -> Response[bytes]:
    """A camera's newest picture as the worker encoded it."""
    task = await visible_task(services, caller, task_id)
    found = await newest_set(services.redis, task.task_id, frame_index)
    jpeg = jpeg_of(found, camera_id)
    tag = _tag(task.task_id, found, None, None, camera_id)
    if _is_known(request, tag):
        return _unchanged(tag, frame_index)
    return _picture(jpeg, tag, frame_index)


@post(
    f"{API}/frames/overlay-config",
    status_code=200,
    tags=["media"],
    opt={"role": "viewer"},
    responses=documented(
        200, OverlayStyle, EXAMPLE_STYLE, InvalidInputError, RedisUnavailableError
    ),
)
async def set_style(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[
        OverlayStyle, Body(examples=[Example(summary="boxes only", value={"trail": False})])
    ],
) -> OverlayStyle:
    """The caller's own style of overlays, kept for a month; what is left out is as usual."""
    await services.redis.set(_style_key(caller), msgspec.json.encode(data), ex=STYLE_KEPT_S)
    return data


@get(
    f"{API}/frames/overlay-config",
    tags=["media"],
    opt={"role": "viewer"},
    responses=documented(200, OverlayStyle, EXAMPLE_STYLE, RedisUnavailableError),
)
async def current_style(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> OverlayStyle:
    """The caller's style of overlays."""
    return await _style_of(services, caller)


@get(
    f"{API}/persons/{{global_id:str}}/image",
    tags=["media"],
    opt={"role": "viewer"},
    media_type="image/jpeg",
    responses=_picture_answers(),
)
async def person_picture(
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: Annotated[str, PathParameter(description="global id", max_length=64)],
    task_id: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The best picture there is of a person, in ``task_id`` or where they were seen last."""
    person = str(parse_person_id(global_id))
    task = await visible_task_with(services, caller, person, task_id)
    jpeg = await _stored_crop(services, task.task_id, person)
    jpeg = jpeg or await services.crops.read(services.redis, task.task_id, person)
    tag = f'"{hashlib.sha256(jpeg).hexdigest()[:24]}"'
    await record(services, caller, "persons.read", person, {"task_id": task.task_id})
    return _unchanged(tag, None) if _is_known(request, tag) else _picture(jpeg, tag, None)


@get(
    "/api/v1/stream/{task_id:str}/{camera_id:str}",
    tags=["media"],
    opt={"role": "viewer"},
    media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}",
    responses=documented(200, bytes, None, TaskNotFoundError, RedisUnavailableError)
    | {
        200: ResponseSpec(
            bytes,
            generate_examples=False,
            media_type="multipart/x-mixed-replace",
            description="JPEG after JPEG, until the task ends or the client leaves",
        )
    },
)
async def camera_stream(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    camera_id: CameraId,
    overlay: FromQuery[bool] = False,
) -> Stream:
    """A camera as MJPEG, for ``<img src>``; a slow client gets fewer pictures, and the newest."""
    task = await visible_task(services, caller, task_id)
    if task.cameras and camera_id not in task.cameras:
        raise PictureNotFoundError(
            f"task {task.task_id} has no camera {camera_id!r}; it has {', '.join(task.cameras)}"
        )
    style = await _style_of(services, caller) if overlay else None
    viewer = viewer_of(caller.user_id)
    parts: AsyncIterator[bytes] = parts_of(services, task.task_id, camera_id, style, viewer)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(parts, headers=headers)


async def _stored_crop(services: Services, task_id: str, person: str) -> bytes | None:
    async with services.store.connection() as connection:
        cipher = await open_cipher(connection, master_key(services.settings))
        crop = await read_best_crop(connection, cipher, person)
    return crop.jpeg if crop is not None and crop.task_id == task_id else None


async def _style_of(services: Services, caller: Caller) -> OverlayStyle:
    found = await services.redis.get(_style_key(caller))
    return msgspec.json.decode(found, type=OverlayStyle) if found else OverlayStyle()


def _style_key(caller: Caller) -> str:
    return f"spoton:overlay:{viewer_of(caller.user_id)}"


async def _focus_of(services: Services, caller: Caller, task_id: str) -> str | None:
    focus = await read_focus(services.redis, task_id, viewer_of(caller.user_id))
    return focus.global_id if focus else None


def _tag(
    task_id: str, found: BinarySet, style: OverlayStyle | None, focus_id: str | None, which: str
) -> str:
    drawn = msgspec.json.encode((style, focus_id, which, found.metadata_json[:200]))
    digest = hashlib.sha256(drawn).hexdigest()[:12]
    return f'"{task_id[:8]}-{found.frame_index}-{digest}"'


def _is_known(request: AnyRequest, tag: str) -> bool:
    known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    return tag in known or f"W/{tag}" in known


def _unchanged(tag: str, frame_index: int | None) -> Response[bytes]:
    return _picture(b"", tag, frame_index, 304)


def _picture(jpeg: bytes, tag: str, frame_index: int | None, status: int = 200) -> Response[bytes]:
    headers = {"ETag": tag, "Cache-Control": LIVE if frame_index is None else FIXED}
    return Response(jpeg, status_code=status, media_type="image/jpeg", headers=headers)


HANDLERS: list[ControllerRouterHandler] = [
    all_cameras,
    camera_picture,
    raw_picture,
    set_style,
    current_style,
    person_picture,
    camera_stream,
]
