"""Who is who in crowds without pictures: SpotOn beside nearest hand-over, over many seeds.

``python -m benchmarks.crowds`` plays simulated rooms (``tests/tracking/crowd.py``) and, where
``SPOTON_TEST_DATA`` is set, disturbed copies of a recording of ten people: each box moved by 1.5
pixels, 1.5 % of them left out. Scores are those on the floor, a match within 0.5 m. The peer is
each camera's tracks, handed over to whoever was last seen nearest.

``--set name=value`` tries another value of ``plugins/tracking/parameters.py``.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from homography.ground_plane import GroundPlane
from plugins.errors import InvalidInputError
from plugins.evaluation.baselines import ByNearest, PerCameraTracks
from plugins.evaluation.footage import Places
from plugins.evaluation.methods import Found, Method, Ours
from plugins.frames import NS_PER_S, Detections
from plugins.tracking import TrackingParameters
from tests.tracking.crowd import Crowd, Room, random_room
from tests.tracking.recordings import clipped, room_detections, room_planes, room_truth
from tests.tracking.scoring import score_places
from tests.tracking.world import START_NS

console = Console()
WITHIN_M = 0.5
ANY = "any room, 3 to 25 people"
RECORDING, RECORDING_HZ = "recording, 10 people, disturbed", 4.0
_SMALL = {"width_m": 5.0, "depth_m": 3.4, "rate_hz": 4.0, "seconds": 50.0}
_LIKE_IT: dict[str, Any] = _SMALL | {
    "miss": 0.06,
    "clutter": 0.03,
    "hidden_miss": 0.3,
    "hidden_from": 0.5,
    "memory_s": 0.7,
    "personal_m": 0.45,
}
_WORSE: dict[str, Any] = _SMALL | {
    "miss": 0.08,
    "clutter": 0.04,
    "doubled": 0.15,
    "sigma": 0.065,
    "bias": 0.05,
    "hidden_miss": 0.4,
    "hidden_from": 0.4,
    "memory_s": 1.0,
    "personal_m": 0.4,
    "unsteady": 0.5,
}
_HALL: dict[str, Any] = {
    "width_m": 12.0,
    "depth_m": 9.0,
    "rate_hz": 10.0,
    "seconds": 20.0,
    "miss": 0.2,
    "clutter": 0.05,
    "doubled": 0.0,
    "sigma": 0.03,
    "bias": 0.01,
    "doors": False,
}
ROOMS = {
    "like it, 10 people": _LIKE_IT | {"people": 10},
    "like it, 15 people": _LIKE_IT | {"people": 15},
    "worse, 12 people": _WORSE | {"people": 12},
    "12 x 9 m, 20 people": _HALL | {"people": 20},
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What cameras detect, set by set, and who was where; ``is_clipped`` to a part of the floor."""

    planes: Mapping[str, GroundPlane]
    sets: Sequence[dict[str, Detections]]
    truth: Sequence[Places]
    step_ns: int
    is_clipped: bool


def main() -> None:
    """Prints a table, and one JSON object on the last line with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="of each kind of scene")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="values")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.seeds < 1:
        parser.error("--seeds: choose 1 or more")
    try:
        values = {name: float(value) for name, _, value in (v.partition("=") for v in args.values)}
        parameters = msgspec.convert(values, TrackingParameters)
    except (ValueError, InvalidInputError) as error:
        parser.error(f"--set: {error}")
    data = os.environ.get("SPOTON_TEST_DATA")
    kinds = [*ROOMS, ANY, *([RECORDING] if data else [])]
    jobs = [(kind, seed, parameters) for kind in kinds for seed in range(args.seeds)]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(track(pool.map(_play, jobs), "Playing", len(jobs), console=console))
    results = {
        kind: _summed([scores for job, scores in zip(jobs, done, strict=True) if job[0] == kind])
        for kind in kinds
    }
    _print(results)
    if not data:
        console.print("SPOTON_TEST_DATA is not set: no recording was played.")
    if args.json:
        print(json.dumps(results))


def scene(kind: str, seed: int) -> Scene:
    """One of the rooms, or a copy of the recording."""
    if kind != RECORDING:
        crowd = Crowd(random_room(seed) if kind == ANY else Room(seed=seed, **ROOMS[kind]))
        return Scene(crowd.planes, crowd.sets, crowd.truth, crowd.step_ns, is_clipped=False)
    folder = Path(os.environ["SPOTON_TEST_DATA"]) / "cmc2"
    sets = room_detections(folder)
    rng = np.random.default_rng(500 + seed)
    disturbed = [{c: _disturbed(boxes, rng) for c, boxes in one.items()} for one in sets]
    truth = room_truth(folder, len(sets))
    step_ns = round(NS_PER_S / RECORDING_HZ)
    return Scene(room_planes(folder), disturbed, truth, step_ns, is_clipped=True)


def _disturbed(boxes: Detections, rng: np.random.Generator) -> Detections:
    kept = rng.random(len(boxes)) >= 0.015
    moved = boxes.boxes_xyxy + rng.normal(0, 1.5, boxes.boxes_xyxy.shape)
    return Detections(moved[kept].astype(np.float32), boxes.scores[kept])


def _play(job: tuple[str, int, TrackingParameters]) -> dict[str, float]:
    kind, seed, parameters = job
    one = scene(kind, seed)
    ours = Ours(one.planes, "seed", "none", parameters)
    nearest = PerCameraTracks(one.planes, ByNearest())
    methods: list[Method] = [ours, nearest]
    for index, boxes in enumerate(one.sets):
        for method in methods:
            method.step(index, START_NS + index * one.step_ns, boxes, lambda _: None)
    answers = ours.finish()
    online = _scored(one, answers.online)
    settled = _scored(one, answers.lagged or answers.online)
    return {
        "idf1": online["IDF1"],
        "settled": settled["IDF1"],
        "mota": online["MOTA"],
        "nearest": _scored(one, nearest.finish().online)["IDF1"],
    }


def _scored(one: Scene, found: Found) -> dict[str, float]:
    places = [found.floor.get(index, {}) for index in range(len(one.sets))]
    return score_places(one.truth, [clipped(p) if one.is_clipped else p for p in places], WITHIN_M)


def _summed(scores: list[dict[str, float]]) -> dict[str, float]:
    """Means, the standard deviation of both IDF1, and how much better than the peer."""
    told = {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}
    spread = {f"{n}_sd": float(np.std([s[n] for s in scores])) for n in ("idf1", "settled")}
    return told | spread | {"idf1/nearest": told["idf1"] / max(told["nearest"], 1e-9)}


def _print(results: dict[str, dict[str, float]]) -> None:
    shown = ("idf1", "idf1_sd", "settled", "settled_sd", "mota", "nearest", "idf1/nearest")
    table = Table("", *(name.replace("_", " ") for name in shown))
    for kind, one in results.items():
        table.add_row(kind, *(f"{one[name]:.3f}" for name in shown))
    console.print(table)


if __name__ == "__main__":
    main()
