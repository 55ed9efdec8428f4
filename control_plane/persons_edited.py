"""``/api/v1/persons``, what changes them: erase, merge, split, take back. All of it is audited."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics.people import PersonRow, find_person, unknown_person
from control_plane.audit import record
from control_plane.errors import (
    EditConflictError,
    EditNotFoundError,
    PersonNotFoundError,
    documented,
)
from control_plane.exports.runner import clear_up
from control_plane.identity.edits import (
    Edit,
    Piece,
    as_edit,
    find_edit,
    merge,
    split,
    tracks_of,
    undo,
)
from control_plane.identity.erase import erase_person, require_ended
from control_plane.pages import Cursor, Limit, Page, decode_moment, encode_cursor
from control_plane.persons import API, ERRORS, EXAMPLE_ROW, OneTask, PersonId, seen_person
from control_plane.services import Services
from control_plane.zones import all_polygons
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    SpotOnError,
    UnknownEnvironmentError,
)
from plugins.messages import (
    frames_stream,
    replay_frames_stream,
    replay_tracks_stream,
    tracks_stream,
)

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
EditId = Annotated[str, PathParameter(description="id of a correction", max_length=64)]
STATUS = "select status from tasks where task_id = $1 for share"
PAGE = """select * from identity_edits where ($1::text[] is null or environment_id = any($1))
    and ($2::timestamptz is null or at < $2 or (at = $2 and edit_id > $3))
  order by at desc, edit_id limit $4"""


class Erasure(msgspec.Struct, frozen=True):
    """What went: rows by table, and exports that held the person and are offered no longer.
    ``exports_deleted`` is false where the object store did not answer: it is tried again until
    their files are gone.
    """

    global_id: str
    rows: dict[str, int]
    exports: list[str]
    exports_deleted: bool


class Merge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``global_id`` becomes the person in the path; of one task, the newest that knows the latter
    unless it is named.
    """

    global_id: Id
    task_id: Id | None = None


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes a new person's: stretches of tracks, or everything from the media time
    ``since`` on.
    """

    tracks: Annotated[list[Piece], msgspec.Meta(max_length=1000)] = []
    since: datetime | None = None
    task_id: Id | None = None


class PersonTracks(msgspec.Struct, frozen=True):
    """The stretches of tracks, camera by camera, that a person is made of."""

    global_id: str
    task_id: str
    tracks: list[Piece]


ID = str(EXAMPLE_ROW["global_id"])
EXAMPLE_EDIT: dict[str, Any] = {
    "edit_id": "3e0c8c74-1c9a-4f5e-8a63-0f3b5f4f9c11",
    "kind": "merge",
    "task_id": "6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33",
    "environment_id": "campus",
    "from_id": "5b7c2f0e-8a94-5d0f-b0a1-9d3f4e5c6b7a",
    "to_id": ID,
    "at": "2026-01-01T12:00:00Z",
    "by_name": "anna",
    "undone_at": None,
}
EXAMPLE_EDITS = {"items": [EXAMPLE_EDIT], "total": None, "next_cursor": None, "has_next": False}
EXAMPLE_TRACKS = PersonTracks(ID, str(EXAMPLE_EDIT["task_id"]), [Piece("c01", 4, 120, 348)])
EXAMPLE_ERASURE = Erasure(ID, {"tracking_events": 840, "persons": 1}, [], exports_deleted=True)
EDIT_ERRORS = (*ERRORS, EditConflictError)


@delete(f"{API}/{{global_id:str}}", status_code=200, tags=["persons"], opt={"role": "admin"},
        responses=documented(200, Erasure, EXAMPLE_ERASURE, PersonNotFoundError,
                             EditConflictError, DatabaseUnavailableError))  # fmt: skip
async def erase(
    services: NamedDependency[Services], caller: NamedDependency[Caller], global_id: PersonId
) -> Erasure:
    """Erase a person from everything stored, in all tasks; it cannot be taken back."""
    async with services.store.connection() as connection, connection.transaction():
        person = (await find_person(connection, global_id)).global_id
        zones = await all_polygons(connection, list(services.catalogue.environments.values()))
        erased = await erase_person(connection, person, caller.environments, zones)
        if not erased.task_ids:
            raise unknown_person(global_id)
        details = {"rows": sum(erased.rows.values()), "exports": erased.exports}
        await record(services, caller, "persons.erase", person, details, connection=connection)
    await _forget_live(services, erased.task_ids)
    services.crops.forget(person)
    is_deleted = await _cleared(services) if erased.exports else True
    return Erasure(person, dict(erased.rows), list(erased.exports), is_deleted)


@post(f"{API}/{{global_id:str}}/merge", status_code=200, tags=["persons"],
      opt={"role": "operator"},
      responses=documented(200, Edit, EXAMPLE_EDIT, *EDIT_ERRORS))  # fmt: skip
async def merge_persons(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    data: JSONBody[Merge],
) -> Edit:
    """Make another id this person: both were one. It can be undone."""
    async with services.store.connection() as connection, connection.transaction():
        kept = await _editable(services, caller, connection, global_id, data.task_id)
        merged = await find_person(connection, data.global_id, kept.task_id)
        zones = await _zones(services, connection, kept)
        edit = await merge(connection, kept, merged, caller.name, zones)
        details = {"edit_id": edit.edit_id, "merged": merged.global_id, "task_id": kept.task_id}
        audited = (services, caller, "persons.merge", kept.global_id, details)
        await record(*audited, connection=connection)
    return edit


@post(f"{API}/{{global_id:str}}/split", status_code=200, tags=["persons"],
      opt={"role": "operator"},
      responses=documented(200, Edit, EXAMPLE_EDIT | {"kind": "split"},
                           *EDIT_ERRORS))  # fmt: skip
async def split_person(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    data: JSONBody[Split],
) -> Edit:
    """Make part of this person somebody new: two were taken for one. It can be undone."""
    if data.since is not None and (data.since.tzinfo is None or data.tracks):
        raise InvalidInputError("give either tracks, or since with a time zone")
    async with services.store.connection() as connection, connection.transaction():
        person = await _editable(services, caller, connection, global_id, data.task_id)
        zones = await _zones(services, connection, person)
        edit = await split(connection, person, data.since or data.tracks, caller.name, zones)
        details = {"edit_id": edit.edit_id, "new": edit.to_id, "task_id": person.task_id}
        audited = (services, caller, "persons.split", person.global_id, details)
        await record(*audited, connection=connection)
    return edit


@get(f"{API}/{{global_id:str}}/tracks", tags=["persons"], opt={"role": "viewer"},
     responses=documented(200, PersonTracks, EXAMPLE_TRACKS, *ERRORS))  # fmt: skip
async def person_tracks(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: OneTask = None,
) -> PersonTracks:
    """The tracks a person is made of, as split takes them."""
    async with services.store.connection() as connection:
        person, _ = await seen_person(services, caller, connection, global_id, task_id)
        return PersonTracks(person.global_id, person.task_id, await tracks_of(connection, person))


@get(f"{API}/edits", tags=["persons"], opt={"role": "viewer"},
     responses=documented(200, Page[Edit], EXAMPLE_EDITS, UnknownEnvironmentError,
                          InvalidInputError, DatabaseUnavailableError))  # fmt: skip
async def list_edits(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Edit]:
    """Merges and splits, newest first, undone ones included."""
    visible = caller.environments
    if environment_id is not None:
        visible_environment(services, caller, environment_id)
        visible = (environment_id,)
    async with services.store.connection() as connection:
        rows = await connection.fetch(PAGE, visible, *decode_moment(cursor), limit + 1)
    edits, has_next = [as_edit(row) for row in rows[:limit]], len(rows) > limit
    key = (edits[-1].at.isoformat(), edits[-1].edit_id) if has_next else None
    return Page(edits, None, encode_cursor(*key) if key else None, has_next)


@post(f"{API}/edits/{{edit_id:str}}/undo", status_code=200, tags=["persons"],
      opt={"role": "operator"},
      responses=documented(200, Edit, EXAMPLE_EDIT, EditNotFoundError, EditConflictError,
                           DatabaseUnavailableError))  # fmt: skip
async def undo_edit(
    services: NamedDependency[Services], caller: NamedDependency[Caller], edit_id: EditId
) -> Edit:
    """Take a merge or a split back: every row is as it was before."""
    async with services.store.connection() as connection, connection.transaction():
        edit = await find_edit(connection, edit_id, caller.environments)
        environments = list(services.catalogue.environments.values())
        zones = await all_polygons(connection, environments)
        undone = await undo(connection, edit, zones.get(edit.environment_id, {}))
        details = {"edit_id": edit.edit_id, "kind": edit.kind}
        audited = (services, caller, "persons.undo", edit.to_id, details)
        await record(*audited, connection=connection)
    return undone


async def _editable(
    services: Services, caller: Caller, connection: Any, global_id: str, task_id: str | None
) -> PersonRow:
    """A person the caller may see, of a task that has ended."""
    person = await find_person(connection, global_id, task_id)
    if not caller.may_see(person.environment_id):
        raise unknown_person(global_id)
    services.environment(person.environment_id)
    require_ended(person.task_id, await connection.fetchval(STATUS, person.task_id))
    return person


async def _zones(services: Services, connection: Any, person: PersonRow) -> Any:
    environment = services.environment(person.environment_id)
    return (await all_polygons(connection, [environment]))[person.environment_id]


async def _forget_live(services: Services, task_ids: Sequence[str]) -> None:
    """What Redis still holds of ended tasks; while it is away, its own expiry does it."""
    streams = (tracks_stream, frames_stream, replay_tracks_stream, replay_frames_stream)
    keys = [name(task_id) for task_id in task_ids for name in streams]
    await services.spare_redis.ask(lambda redis: redis.unlink(*keys))


async def _cleared(services: Services) -> bool:
    """Whether the files of withdrawn exports are gone."""
    try:
        await clear_up(services)
    except SpotOnError:
        return False
    return True


HANDLERS: list[ControllerRouterHandler] = [
    erase,
    merge_persons,
    split_person,
    person_tracks,
    list_edits,
    undo_edit,
]
