"""``spoton explain``: the story of an identity, and what it looked like."""

import argparse
import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from control_plane.audit import record_command
from control_plane.catalogue import known_environment
from control_plane.embedded import running_services
from control_plane.health.logs import configure_logging
from control_plane.settings import Settings
from control_plane.store import Store, parse_task_id
from control_plane.terminal import console, print_json
from homography.environment import load_environments
from plugins.errors import InvalidInputError
from plugins.evaluation.picture_strip import Glimpse, draw_strip, well_spread, write_png
from plugins.evaluation.story import Decision, Line, Sighting, tell
from plugins.media.cache import ClipCache
from plugins.media.object_store import open_object_store
from plugins.media_time import from_datetime
from plugins.plan import environment_recordings

PICTURES = 16
WHO = """
select p.task_id::text, p.global_id::text, p.environment_id, p.first_seen, p.last_seen, p.cameras
from (select task_id, global_id, environment_id, first_seen, last_seen, cameras from persons
      union all
      select d.task_id, d.other_global_id, t.environment_id, d.media_time, d.media_time, '{}'
      from identity_decisions d join tasks t using (task_id)
      where d.verdict = 'merged' and d.other_global_id is not null) p
join tasks t using (task_id)
where p.global_id::text like $1 and ($2::uuid is null or p.task_id = $2)
order by t.created_at desc, p.last_seen desc"""
PERSONS = """
select global_id::text, task_id::text, first_seen, last_seen, cameras from persons
where task_id = coalesce($1, (select task_id from tasks order by created_at desc limit 1))
order by first_seen, global_id"""
# The id itself and those that were merged into it, also over several steps.
SAME = """
with recursive same(id) as (
  select $2::uuid union
  select d.other_global_id from identity_decisions d join same on d.global_id = same.id
  where d.task_id = $1 and d.verdict = 'merged' and d.other_global_id is not null)
select id::text from same"""
DECISIONS = """
select media_time, camera_id, track_id, verdict, global_id::text, other_global_id::text,
       cosine, metres, seconds, threshold, log_likelihood, reason
from identity_decisions
where task_id = $1 and (global_id = any($2::uuid[]) or other_global_id = any($2::uuid[]))
order by frame_index, ordinal"""
SIGHTINGS = """
select camera_id, track_id, min(media_time) as first, max(media_time) as last, count(*) as boxes
from tracking_events where task_id = $1 and global_id = $2
group by camera_id, track_id order by first, camera_id"""
GLIMPSES = """
select camera_id, media_time, x1, y1, x2, y2, confidence
from tracking_events where task_id = $1 and global_id = $2 order by media_time"""


@dataclass(frozen=True, slots=True)
class Explained:
    """A person of one task: who, what happened, and every box."""

    task_id: str
    global_id: str
    environment_id: str
    first_seen: datetime
    last_seen: datetime
    cameras: list[str]
    lines: list[Line]
    glimpses: list[Glimpse]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who, of which task, and where the pictures go."""
    parser.add_argument("global_id", nargs="?", help="the id, or enough of its beginning")
    parser.add_argument("--list", action="store_true", help="the persons of a task instead")
    parser.add_argument("--task", help="id of the task; default: the newest that has the person")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write a strip of pictures there, GLOBAL_ID.png"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Reads the database, prints the story, draws the strip."""
    configure_logging("warning", settings.log_format)
    if args.list:
        return _list(args, settings)
    if not re.fullmatch(r"[0-9a-fA-F-]{4,36}", args.global_id or ""):
        raise InvalidInputError(
            f"{args.global_id!r} is no global id: give one of spoton explain --list, or at least "
            "four of its first characters"
        )
    with running_services(settings, needed=("database_url",)) as complete:
        explained = asyncio.run(read_person(complete.database_url or "", args.global_id, args.task))
    strip, problems = _draw(explained, args.out, settings) if args.out else (None, [])
    if args.json:
        print_json(_summary(explained, strip, problems))
        return 0
    console.print(_table(explained))
    for problem in problems:
        console.print(f"[yellow]{problem}[/]")
    if strip:
        print(strip)
    return 0


def _list(args: argparse.Namespace, settings: Settings) -> int:
    """The persons of a task, by default the newest."""
    task_id = None if args.task is None else parse_task_id(args.task)

    async def read(database_url: str) -> list[dict[str, Any]]:
        store = Store(database_url)
        try:
            async with store.connection() as connection:
                await record_command(connection, "persons.search", task_id or "the newest task")
                return [dict(row) for row in await connection.fetch(PERSONS, task_id)]
        finally:
            await store.close()

    with running_services(settings, needed=("database_url",)) as complete:
        persons = asyncio.run(read(complete.database_url or ""))
    if args.json:
        print_json({"persons": persons})
        return 0
    for row in persons:
        seen_s = (row["last_seen"] - row["first_seen"]).total_seconds()
        print(f"{row['global_id']}  {seen_s:7.1f} s  {', '.join(row['cameras'])}")
    return 0


async def read_person(database_url: str, wanted: str, task: str | None) -> Explained:
    """A person by the beginning of an id; the look is written into the audit log."""
    store = Store(database_url)
    try:
        task_id = None if task is None else parse_task_id(task)
        async with store.connection() as connection:
            found = await connection.fetch(WHO, f"{wanted.lower()}%", task_id)
            person = _only(found, wanted, task)
            details = {"task_id": person["task_id"], "why": "explain"}
            await record_command(connection, "persons.read", person["global_id"], details)
            key = (person["task_id"], person["global_id"])
            own = [row["id"] for row in await connection.fetch(SAME, *key)]
            decisions = await connection.fetch(DECISIONS, person["task_id"], own)
            sightings = await connection.fetch(SIGHTINGS, *key)
            glimpses = await connection.fetch(GLIMPSES, *key)
    finally:
        await store.close()
    lines = tell(
        set(own),
        [Decision(**{f.name: row[f.name] for f in fields(Decision)}) for row in decisions],
        [Sighting(**{f.name: row[f.name] for f in fields(Sighting)}) for row in sightings],
    )
    return Explained(**dict(person), lines=lines, glimpses=[_glimpse(row) for row in glimpses])


def _only(found: Sequence[Any], wanted: str, task: str | None) -> Any:
    """The newest task's person; ids that begin alike are asked about."""
    if not found:
        where = f"task {task}" if task else "any task"
        raise InvalidInputError(
            f"{where} has no person {wanted}: spoton explain --list has those there are; is "
            "SPOTON_DATA_DIR the right folder?"
        )
    newest = {row["global_id"] for row in found if row["task_id"] == found[0]["task_id"]}
    if len(newest) > 1:
        raise InvalidInputError(
            f"{wanted} is the beginning of {', '.join(sorted(newest)[:5])}: give more of it"
        )
    return found[0]


def _glimpse(row: Any) -> Glimpse:
    box = (row["x1"], row["y1"], row["x2"], row["y2"])
    return Glimpse(row["camera_id"], from_datetime(row["media_time"]), box, row["confidence"])


def _draw(explained: Explained, folder: Path, settings: Settings) -> tuple[Path, list[str]]:
    catalogue = load_environments(settings.environment_folders())
    environment = known_environment(catalogue, explained.environment_id)
    store = open_object_store(settings.store_url(), endpoint_url=settings.s3_endpoint_url)
    data_dir = settings.data_dir.resolve()
    recordings = environment_recordings(
        environment, environment.cameras, store, data_dir / "cache" / "index"
    )
    cache = ClipCache(data_dir / "cache", store, settings.cache_max_bytes)
    try:
        chosen = well_spread(explained.glimpses, PICTURES)
        picture, problems = draw_strip(chosen, recordings, cache)
    finally:
        cache.close()
    path = folder / f"{explained.global_id}.png"
    write_png(picture, path)
    return path, problems


def _summary(explained: Explained, strip: Path | None, problems: list[str]) -> dict[str, object]:
    return {
        "task_id": explained.task_id,
        "global_id": explained.global_id,
        "environment_id": explained.environment_id,
        "first_seen": explained.first_seen,
        "last_seen": explained.last_seen,
        "cameras": explained.cameras,
        "boxes": len(explained.glimpses),
        "story": msgspec.to_builtins(explained.lines, builtin_types=(datetime,)),
        "strip": None if strip is None else str(strip),
        "problems": problems,
    }


def _table(explained: Explained) -> Table:
    title = (
        f"{explained.global_id} in {explained.environment_id}, task {explained.task_id}: "
        f"{len(explained.glimpses)} boxes in {', '.join(explained.cameras) or 'no camera'}"
    )
    table = Table("media time", "", "what happened", title=title, title_justify="left", box=None)
    for line in explained.lines:
        time = line.media_time.strftime("%H:%M:%S.%f")[:-4]
        table.add_row(time, f"[bold]{line.kind.replace('_', ' ')}[/]", line.text)
    return table
