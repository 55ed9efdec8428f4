"""Merge and split: stored rows change hands, and can change back exactly.

A *piece* is a stretch of one track in one camera, so that a piece names the same rows before and
after. Rows keep everything but the id. Places on the floor are one per person and set: where both
people had one before a merge, one is set aside; where a split leaves both in one set, their places
are worked out from their boxes, and the old one is set aside.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from control_plane.analytics.floor import Array
from control_plane.analytics.people import PersonRow
from control_plane.errors import EditConflictError, EditNotFoundError
from control_plane.identity.edit_sql import (
    ADD_PERSON,
    DROP_CLASHES,
    DROP_EMPTY,
    DROP_MADE,
    DROP_SHARED,
    FIND,
    FIRST_FRAME,
    INSERT,
    MAKE_PLACES,
    MARK_UNDONE,
    MOVE_BACK_CROPS,
    MOVE_BACK_PLACES,
    MOVE_CROPS,
    MOVE_EVENTS,
    MOVE_PLACES,
    NEWER,
    PIECES,
    PUT_BACK_PERSONS,
    PUT_BACK_PLACES,
    RECOUNT_PERSON,
    SET_ASIDE_CLASHES,
    SET_ASIDE_PERSON,
    SET_ASIDE_SHARED,
    SPAN,
)
from control_plane.storage.rollups import correct
from plugins.errors import InvalidInputError

EVERYTHING = "{(,)}"


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of one track in one camera, both ends included; null means from its beginning, to
    its end.
    """

    camera_id: str
    track_id: int
    first_frame: int | None = None
    last_frame: int | None = None


class Edit(msgspec.Struct, frozen=True):
    """A correction: rows of ``from_id`` became ``to_id``'s."""

    edit_id: str
    kind: Literal["merge", "split"]
    task_id: str
    environment_id: str
    from_id: str
    to_id: str
    at: datetime
    by_name: str
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """Whose rows become whose, in one task."""

    kind: Literal["merge", "split"]
    person: PersonRow
    from_id: str
    to_id: str
    by_name: str


Stretch = tuple[str, int, int, int]
Zones = Mapping[str, Array]


async def merge(
    connection: Any, kept: PersonRow, merged: PersonRow, by_name: str, zones: Zones
) -> Edit:
    """All rows of ``merged`` become ``kept``'s, in the caller's transaction."""
    if kept.task_id != merged.task_id or kept.global_id == merged.global_id:
        raise InvalidInputError(
            "merge takes two different people of one task: name the task_id that knows both"
        )
    pieces = await _pieces(connection, merged)
    change = Change("merge", kept, merged.global_id, kept.global_id, by_name)
    return await _apply(connection, change, pieces, EVERYTHING, zones)


async def split(
    connection: Any,
    person: PersonRow,
    wanted: Sequence[Piece] | datetime,
    by_name: str,
    zones: Zones,
) -> Edit:
    """The named stretches of a person's rows, or all from a moment on, become a new person's."""
    own = await _pieces(connection, person)
    if isinstance(wanted, datetime):
        first = await connection.fetchval(FIRST_FRAME, person.task_id, person.global_id, wanted)
        chosen = [] if first is None else [cut for p in own if (cut := _cut(p, first, None))]
    else:
        chosen = [cut for p in own for t in wanted if (cut := _within(p, t))]
    if not chosen or sorted(chosen) == sorted(own):
        what = "nothing of this person" if not chosen else "everything of this person"
        raise InvalidInputError(
            f"this names {what}: name some of its tracks, which GET /api/v1/persons/"
            f"{person.global_id}/tracks lists, or a moment between its first and last sight"
        )
    change = Change("split", person, person.global_id, str(uuid.uuid4()), by_name)
    return await _apply(connection, change, chosen, _as_multirange(chosen), zones)


async def undo(connection: Any, edit: Edit, zones: Zones) -> Edit:
    """Gives every row back. EditConflictError where it is undone already, or where a later
    correction of these people stands: that one first.
    """
    if edit.undone_at is not None:
        raise EditConflictError(f"correction {edit.edit_id} has been undone already")
    row = await connection.fetchrow(FIND, uuid.UUID(edit.edit_id))
    ids = [edit.from_id, edit.to_id]
    newer = await connection.fetchval(NEWER, row["task_id"], row["at"], ids, row["edit_id"])
    if newer is not None:
        raise EditConflictError(f"undo {newer} first: it came later and touches these people, too")
    pieces = [tuple(piece) for piece in msgspec.json.decode(row["pieces"])]
    task_id, backwards = row["task_id"], (edit.to_id, edit.from_id)
    times = await connection.fetchrow(SPAN, task_id, ids)
    await connection.execute(MOVE_EVENTS, task_id, *backwards, *_columns(pieces))
    await connection.execute(DROP_MADE, task_id, ids, row["made"])
    await connection.execute(MOVE_BACK_PLACES, task_id, *backwards, row["moved"])
    await connection.execute(PUT_BACK_PLACES, row["edit_id"])
    await connection.execute(MOVE_BACK_CROPS, task_id, *backwards, row["crops"])
    await connection.execute(PUT_BACK_PERSONS, row["edit_id"])
    for person_id in ids:
        await _recount(connection, task_id, person_id)
    await correct(connection, task_id, ids, tuple(times), zones)
    await connection.execute(MARK_UNDONE, row["edit_id"])
    return as_edit(await connection.fetchrow(FIND, row["edit_id"]))


async def find_edit(connection: Any, edit_id: str, visible: Sequence[str] | None) -> Edit:
    """EditNotFoundError for one that is not there or not visible. It stays locked meanwhile."""
    try:
        row = await connection.fetchrow(f"{FIND} for update", uuid.UUID(edit_id))
    except ValueError as error:
        raise unknown_edit(edit_id) from error
    if row is None or (visible is not None and row["environment_id"] not in visible):
        raise unknown_edit(edit_id)
    return as_edit(row)


async def tracks_of(connection: Any, person: PersonRow) -> list[Piece]:
    """The stretches a person is made of."""
    return [Piece(*stretch) for stretch in await _pieces(connection, person)]


def as_edit(row: Any) -> Edit:
    """A row of identity_edits."""
    ids: dict[str, Any] = {n: str(row[n]) for n in ("edit_id", "task_id", "from_id", "to_id")}
    others = {n: row[n] for n in ("kind", "environment_id", "at", "by_name", "undone_at")}
    return Edit(**ids, **others)


def unknown_edit(edit_id: str) -> EditNotFoundError:
    """No such correction, and where to look."""
    return EditNotFoundError(
        f"there is no correction {edit_id!r}; GET /api/v1/persons/edits lists those there are"
    )


async def _apply(
    connection: Any, change: Change, pieces: list[Stretch], frames: str, zones: Zones
) -> Edit:
    task_id, ids = change.person.task_id, (change.from_id, change.to_id)
    edit_id = uuid.uuid4()
    times = await connection.fetchrow(SPAN, task_id, list(ids))
    encoded = msgspec.json.encode(pieces).decode()
    names = (change.kind, task_id, change.person.environment_id, *ids, change.by_name)
    await connection.execute(INSERT, edit_id, *names, encoded)
    crops = await connection.fetch(MOVE_CROPS, task_id, *ids, *_columns(pieces))
    await connection.execute(MOVE_EVENTS, task_id, *ids, *_columns(pieces))
    await _move_places(connection, edit_id, task_id, ids, frames)
    moved = msgspec.json.encode([list(crop) for crop in crops]).decode()
    await connection.execute(
        "update identity_edits set crops = $2::jsonb where edit_id = $1", edit_id, moved
    )
    await connection.execute(SET_ASIDE_PERSON, edit_id, task_id, change.from_id)
    await connection.execute(ADD_PERSON, task_id, change.to_id)
    for person_id in ids:
        await _recount(connection, task_id, person_id)
    await correct(connection, task_id, list(ids), tuple(times), zones)
    return as_edit(await connection.fetchrow(FIND, edit_id))


async def _move_places(
    connection: Any, edit_id: uuid.UUID, task_id: str, ids: tuple[str, str], frames: str
) -> None:
    """Places on the floor, after the boxes have moved; see the module."""
    where = (edit_id, task_id, *ids, frames)
    await connection.execute(SET_ASIDE_SHARED, *where)
    await connection.execute(DROP_SHARED, edit_id, task_id)
    await connection.execute(SET_ASIDE_CLASHES, *where)
    await connection.execute(DROP_CLASHES, edit_id, task_id, ids[0])
    await connection.execute(MOVE_PLACES, *where)
    await connection.execute(MAKE_PLACES, edit_id, task_id, list(ids))


async def _recount(connection: Any, task_id: Any, person_id: str) -> None:
    await connection.execute(RECOUNT_PERSON, task_id, person_id)
    await connection.execute(DROP_EMPTY, task_id, person_id)


async def _pieces(connection: Any, person: PersonRow) -> list[Stretch]:
    rows = await connection.fetch(PIECES, person.task_id, person.global_id)
    return [tuple(row) for row in rows]


def _columns(pieces: Sequence[Stretch]) -> tuple[list[Any], ...]:
    """As four arrays for unnest."""
    return tuple([piece[k] for piece in pieces] for k in range(4))


def _within(piece: Stretch, wanted: Piece) -> Stretch | None:
    if (piece[0], piece[1]) != (wanted.camera_id, wanted.track_id):
        return None
    return _cut(piece, wanted.first_frame, wanted.last_frame)


def _cut(piece: Stretch, first: int | None, last: int | None) -> Stretch | None:
    start = piece[2] if first is None else max(piece[2], first)
    end = piece[3] if last is None else min(piece[3], last)
    return (piece[0], piece[1], start, end) if start <= end else None


def _as_multirange(pieces: Sequence[Stretch]) -> str:
    """Every frame that a piece spans, as PostgreSQL writes it."""
    return "{" + ",".join(f"[{p[2]},{p[3]}]" for p in pieces) + "}"
