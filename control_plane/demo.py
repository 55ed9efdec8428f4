"""The demo: a rendered scene to play, and how well a task has followed its people."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from control_plane.catalogue import known_environment
from control_plane.settings import Settings
from control_plane.store import Store
from control_plane.terminal import counting_bar
from homography.environment import load_environments
from plugins.evaluation.layouts import read_footage
from plugins.evaluation.methods import Answers, Found
from plugins.evaluation.report import MethodScores, method_scores
from training.simulate import Order, simulate

ENVIRONMENT = "demo"
SEED, PEOPLE, SECONDS = 7, 8, 60.0
BOXES = """
select frame_index, camera_id, global_id::text, array[x1, y1, x2, y2] as box
from tracking_events where task_id = $1 and global_id is not null
order by frame_index, camera_id"""
PLACES = """
select frame_index, global_id::text, map_x, map_y
from trajectories where task_id = $1 order by frame_index"""
COLUMNS = {"idf1": "IDF1", "hota": "HOTA", "mota": "MOTA"}
COUNTS = ("switches", "ids", "people")
FOR_REAL_FOOTAGE = """\
The bundled models learnt from rendered people. For real footage import these:
  spoton models pull rtmdet-nano
  spoton models pull osnet-x0-25 --from osnet_x0_25_msmt17.onnx
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The scene: ``people`` walk for ``seconds``, everything made up from ``seed``."""

    people: int = PEOPLE
    seconds: float = SECONDS
    seed: int = SEED


def render_demo(settings: Settings, wanted: Wanted) -> Settings:
    """Renders the scene into the data directory's recordings unless it is there; settings that
    play it. Raises what ``simulate`` raises.
    """
    settings = msgspec.structs.replace(settings, object_store_url=None)
    catalogue = load_environments(settings.environment_folders())
    environment = known_environment(catalogue, ENVIRONMENT)
    order = Order(environment, wanted.seed, wanted.people, wanted.seconds, _folder(settings))
    with counting_bar(f"rendering {environment.name}, once") as show:
        simulate(order, show)
    return settings


def score_demo(settings: Settings, task_id: str) -> MethodScores:
    """What the task has stored against the scene's truth; ``settings`` as ``render_demo`` gave."""
    catalogue = load_environments(settings.environment_folders())
    footage = read_footage(_folder(settings), catalogue)
    return method_scores(footage, Answers(asyncio.run(_stored(settings, task_id))))


def accuracy_table(scores: MethodScores) -> Table:
    """The scores that tell most."""
    table = Table(
        "accuracy", *COLUMNS.values(), *COUNTS, title="Against the truth", title_justify="left"
    )
    rows = {
        "across cameras": scores.cross_camera,
        "on the floor, within 0.5 m": scores.ground_half,
        "on the floor, within 1 m": scores.ground_one,
    }
    for name, one in rows.items():
        if one is not None:
            shares = [f"{getattr(one, column):.3f}" for column in COLUMNS]
            table.add_row(name, *shares, *(str(getattr(one, count)) for count in COUNTS))
    return table


def _folder(settings: Settings) -> Path:
    return settings.data_dir.resolve() / "recordings"


async def _stored(settings: Settings, task_id: str) -> Found:
    store = Store(settings.database_url or "")
    try:
        async with store.connection() as connection:
            boxes = await connection.fetch(BOXES, uuid.UUID(task_id))
            places = await connection.fetch(PLACES, uuid.UUID(task_id))
    finally:
        await store.close()
    return _found(boxes, places)


def _found(boxes: Sequence[Any], places: Sequence[Any]) -> Found:
    found = Found()
    for (frame, camera_id), own in _groups(boxes, "frame_index", "camera_id"):
        found.add_view(camera_id, frame, [r["global_id"] for r in own], [r["box"] for r in own])
    for (frame,), own in _groups(places, "frame_index"):
        found.floor[frame] = {r["global_id"]: (r["map_x"], r["map_y"]) for r in own}
    return found


def _groups(rows: Sequence[Any], *keys: str) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """Rows sorted by ``keys``, those with the same values together."""
    for values, own in groupby(rows, key=lambda row: tuple(row[key] for key in keys)):
        yield values, list(own)
