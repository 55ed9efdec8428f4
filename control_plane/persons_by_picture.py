"""``POST /api/v1/persons/search``: upload a picture of somebody, get who looks like that."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, QueryParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.access.master_key import master_key
from control_plane.analytics.scope import checked_range
from control_plane.analytics_places import Camera, End, Start
from control_plane.audit import record
from control_plane.errors import documented
from control_plane.identity.looks import (
    MOST_CANDIDATES,
    LooksAlike,
    candidates,
    embed_picture,
    nearest,
)
from control_plane.persons import API, EXAMPLE_ROW
from control_plane.services import Services
from control_plane.zones import visible
from plugins.encryption import open_cipher
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    InvalidTimeRangeError,
    TritonUnavailableError,
    UnknownCameraError,
    UnknownEnvironmentError,
)
from plugins.plan import chosen_cameras

MAX_PICTURE_BYTES = 8 * 1024**2


@dataclass(frozen=True)
class PictureForm:
    """A JPEG or PNG, cut to one person, as the part ``picture``."""

    picture: UploadFile


Form = Annotated[PictureForm, Body(media_type=RequestEncodingType.MULTI_PART)]
EXAMPLE: dict[str, Any] = {
    "items": [{"similarity": 0.87} | EXAMPLE_ROW],
    "embedding_model": "person_reid/1/5a1d…",
    "compared": 412,
    "other_models": 0,
    "is_complete": True,
}


@post(f"{API}/search", status_code=200, tags=["persons"], opt={"role": "viewer"},
      request_max_body_size=MAX_PICTURE_BYTES,
      responses=documented(200, LooksAlike, EXAMPLE, UnknownEnvironmentError, UnknownCameraError,
                           InvalidTimeRangeError, InvalidInputError, TritonUnavailableError,
                           DatabaseUnavailableError))  # fmt: skip
async def search_by_picture(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Form,
    *,
    environment_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
    start_time: Start = None,
    end_time: End = None,
    camera_id: Camera = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
) -> LooksAlike:
    """People who look like the picture, by the served embedder, with their times and cameras."""
    start, end = checked_range(start_time, end_time)
    places = visible(services, caller)
    if environment_id is not None:
        places = [visible_environment(services, caller, environment_id)]
        if camera_id is not None:
            chosen_cameras(places[0], [camera_id])
    names = [place.environment_id for place in places]
    content = await data.picture.read()
    vector, model = await asyncio.to_thread(embed_picture, services.settings, content)
    async with services.store.connection() as connection:
        rows, others = await candidates(connection, names, model, (start, end), camera_id)
        cipher = await open_cipher(connection, master_key(services.settings))
        details = {"environments": names, "compared": len(rows)}
        audited = (services, caller, "persons.search_by_picture", environment_id or "all", details)
        await record(*audited, connection=connection)
    is_complete = len(rows) <= MOST_CANDIDATES
    found = await asyncio.to_thread(nearest, cipher, rows[:MOST_CANDIDATES], vector, limit)
    return LooksAlike(found, model, min(len(rows), MOST_CANDIDATES), others, is_complete)


HANDLERS: list[ControllerRouterHandler] = [search_by_picture]
