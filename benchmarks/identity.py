"""What identities cost: matching a set, searching the gallery, an hour of footage.

``python -m benchmarks.identity`` on one core, with made-up detections and embeddings:

a. Four cameras see thirty people each: milliseconds of ``associate`` and ``identify`` per set. Its
   floor is SciPy's assignment alone, four times thirty to thirty.
b. A gallery of 100,000 persons, several embeddings each as it stores them, searched for one crop.
   Its floor is a bare exact FAISS search over one embedding a person.
c. An hour of ten sets a second, people coming and going: milliseconds per set in its first and in
   its last minute. In between 2.5 sets a second are played.

All are milliseconds of this thread's processor time, which other programs on the machine change
little; by the clock they are told beside it.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from homography.ground_plane import GroundPlane
from plugins.frames import NS_PER_S, CropRequest, Detections
from plugins.tracking.gallery import Gallery, PersonLooks
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.tracker import Tracker
from tests.tracking.world import HEIGHT, START_NS, WIDTH, box_of, camera

console = Console()
Vectors = npt.NDArray[np.float32]
DIMENSION = 512
QUALITY = 0.8
NEAREST = 128
SAME_PERSON_NOISE = 0.02
Place = tuple[float, float]
WhereAt = Callable[[float], dict[int, Place]]


class Took(NamedTuple):
    """Milliseconds of this thread's processor time, and by the clock."""

    processor_ms: float
    clock_ms: float


def main() -> None:
    """Prints the tables, and one JSON object on the last line with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=300, help="sets of (a) that are measured")
    parser.add_argument("--persons", type=int, default=100_000, help="of (b)")
    parser.add_argument("--embeddings", type=int, default=3, help="of each person in (b)")
    parser.add_argument("--searches", type=int, default=100, help="of (b)")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of (c)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.minutes < 2:
        parser.error("--minutes: choose 2 or more, a first and a last one")
    faiss.omp_set_num_threads(1)
    results = {
        "crowd": _crowd(args.sets),
        "gallery": _gallery(args.persons, args.embeddings, args.searches),
        "hour": _hour(args.minutes),
    }
    _print(results)
    if args.json:
        print(json.dumps(results))


def _crowd(sets: int) -> dict[str, Any]:
    warm_up = 30
    room = Room(_thirty_walkers)
    result = percentiles([room.play(k / 10) for k in range(warm_up + sets)][warm_up:])
    floor = percentiles([_assignments(np.random.default_rng(k)) for k in range(200)])
    return {
        **result,
        "boxes_a_set": room.boxes / (warm_up + sets),
        "floor_p50": floor["p50"],
        "p50/floor": result["p50"] / floor["p50"],
    }


def _assignments(rng: np.random.Generator) -> Took:
    costs = rng.random((4, 30, 30))
    began = _now()
    for cost in costs:
        linear_sum_assignment(cost)
    return _since(began)


def _gallery(persons: int, embeddings: int, searches: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    crowd = _Crowd(persons, rng)
    everybody = range(persons)
    kept = np.stack([crowd.looks(everybody) for _ in range(embeddings)], axis=1)
    gallery = Gallery("made-up", TrackingParameters().vectors_per_person, _looks(kept))
    wanted = rng.integers(0, persons, searches).tolist()
    queries = crowd.looks(wanted)
    gallery.nearest(queries[0], 1)
    taken, found, agreed = [], 0, 0
    for query, person in zip(queries, wanted, strict=True):
        began = _now()
        (best, _), *_ = gallery.nearest(query, NEAREST)
        taken.append(_since(began))
        found += best == person
        agreed += best == int((kept @ query).mean(axis=1).argmax())
    floor = percentiles(_bare_search(np.ascontiguousarray(kept[:, 0]), queries))
    result = percentiles(taken)
    return {
        **result,
        "found": found / searches,
        "as_exhaustive": agreed / searches,
        "floor_p50": floor["p50"],
        "p50/floor": result["p50"] / floor["p50"],
    }


class _Crowd:
    """People of whom two looks have a cosine of about 0.68, and 0.5 with anybody else's."""

    def __init__(self, persons: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._own = _unit(rng.standard_normal((persons, DIMENSION), np.float32))
        self._common = _unit(rng.standard_normal((1, DIMENSION), np.float32))

    def looks(self, persons: Sequence[int]) -> Vectors:
        """(N, D), one of each."""
        noise = _unit(self._rng.standard_normal((len(persons), DIMENSION), np.float32))
        return _unit(self._common + 0.6 * self._own[list(persons)] + 0.8 * noise)


def _looks(kept: Vectors) -> Iterator[PersonLooks]:
    for person, vectors in enumerate(kept):
        quality = np.full(len(vectors), QUALITY)
        yield PersonLooks(person, vectors.astype(np.float16), quality)


def _bare_search(people: Vectors, queries: Vectors) -> list[Took]:
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(people)
    taken = []
    for query in queries:
        began = _now()
        index.search(query[None], 10)
        taken.append(_since(began))
    return taken


def _hour(minutes: float) -> dict[str, Any]:
    room = Room(_comers_and_goers)
    length_s = minutes * 60
    first, last = [], []
    for time_s in _times(length_s):
        taken = room.play(time_s)
        if time_s < 60:
            first.append(taken)
        elif time_s >= length_s - 60:
            last.append(taken)
    at_first, at_last = percentiles(first), percentiles(last)
    return {
        "sets": room.sets,
        "first_minute": at_first,
        "last_minute": at_last,
        "last/first": at_last["p50"] / at_first["p50"],
    }


def _times(length_s: float) -> Iterator[float]:
    time_s = 0.0
    while time_s < length_s:
        yield time_s
        is_measured = time_s < 60 or time_s >= length_s - 60
        time_s = round(time_s + (0.1 if is_measured else 0.4), 3)


class Room:
    """Four cameras in the corners of a hall, and a tracker; ``where`` says who stands where."""

    def __init__(self, where: WhereAt) -> None:
        corners = [(-3.0, -3.0), (15.0, -3.0), (15.0, 13.0), (-3.0, 13.0)]
        self._planes: dict[str, GroundPlane] = {
            f"c{k}": camera((x, y, 5.0), (6.0, 5.0), 700.0) for k, (x, y) in enumerate(corners)
        }
        self._where = where
        self._tracker = Tracker(self._planes, TrackingParameters(), "bench", "made-up")
        self._rng = np.random.default_rng(3)
        self._looks: dict[int, Vectors] = {}
        self._shown: dict[str, npt.NDArray[np.float64]] = {}
        self._owners: dict[str, list[int]] = {}
        self.sets = self.boxes = 0

    def play(self, time_s: float) -> Took:
        """One set; returns what the tracker took, embeddings not counted."""
        people = self._where(time_s)
        detections = {c: self._see(c, plane, people) for c, plane in self._planes.items()}
        self.boxes += sum(map(len, detections.values()))
        time_ns = START_NS + round(time_s * NS_PER_S)
        began = _now()
        requests = self._tracker.associate(self.sets, time_ns, detections)
        associating = _since(began)
        embeddings = self._embed(requests)
        began = _now()
        self._tracker.identify(embeddings)
        identifying = _since(began)
        self.sets += 1
        return Took(*(a + b for a, b in zip(associating, identifying, strict=True)))

    def _see(self, camera_id: str, plane: GroundPlane, people: dict[int, Place]) -> Detections:
        boxes, owners = [], []
        for name, place in people.items():
            box = box_of(plane, place)
            if box is not None:
                boxes.append(box + self._rng.normal(0, 2.0, 4))
                owners.append(name)
        shown = np.clip(np.reshape(boxes, (-1, 4)), 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        self._shown[camera_id], self._owners[camera_id] = shown, owners
        return Detections(shown.astype(np.float32), np.full(len(shown), 0.9, np.float32))

    def _embed(self, requests: list[CropRequest]) -> Vectors:
        rows = [self._look(request) for request in requests]
        return _unit(np.reshape(rows, (-1, DIMENSION)) + _noise(self._rng, len(rows)))

    def _look(self, request: CropRequest) -> Vectors:
        gaps = np.abs(self._shown[request.camera_id] - request.bbox_xyxy).sum(axis=1)
        name = self._owners[request.camera_id][int(gaps.argmin())]
        if name not in self._looks:
            own = np.random.default_rng((9, name % 2**32)).standard_normal(
                (1, DIMENSION), np.float32
            )
            self._looks[name] = _unit(own)[0]
        return self._looks[name]


def _thirty_walkers(time_s: float) -> dict[int, Place]:
    """Everybody on an oval of their own."""
    places = {}
    for name in range(30):
        column, row = name % 6, name // 6
        angle = time_s * 0.9 + name
        places[name] = (
            1.2 + 2 * column + 0.7 * math.cos(angle),
            1 + 2 * row + 0.7 * math.sin(angle),
        )
    return places


def _comers_and_goers(time_s: float) -> dict[int, Place]:
    """Somebody enters every ten seconds, crosses the hall in 50 s, and comes back once, later. Five
    are there from the start, so that the first minute has as many people as any other.
    """
    places = {}
    for entry in range(int(time_s // 10) - 5, int(time_s // 10) + 1):
        age_s = time_s - entry * 10
        if age_s <= 50:
            is_new = entry < 0 or entry % 2 == 0
            name = entry if is_new else max(entry - 41, entry % 41)
            places[name] = (12 * age_s / 50, 1 + 8 * (entry * 0.37 % 1))
    return places


def _now() -> Took:
    return Took(time.thread_time() * 1e3, time.perf_counter() * 1e3)


def _since(began: Took) -> Took:
    return Took(*(now - then for now, then in zip(_now(), began, strict=True)))


def percentiles(taken: list[Took]) -> dict[str, float]:
    """p50, p95 and p99 of processor time, and the first two by the clock."""
    processor_ms, clock_ms = zip(*taken, strict=True)
    by_processor = {f"p{q}": float(np.percentile(processor_ms, q)) for q in (50, 95, 99)}
    return by_processor | {f"clock_p{q}": float(np.percentile(clock_ms, q)) for q in (50, 95)}


def _unit(rows: npt.NDArray[Any]) -> Vectors:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return np.asarray(rows / norms, np.float32)


def _noise(rng: np.random.Generator, rows: int) -> Vectors:
    return SAME_PERSON_NOISE * rng.standard_normal((rows, DIMENSION), np.float32)


def _print(results: dict[str, Any]) -> None:
    shown = ("p50", "p95", "p99", "clock_p50", "clock_p95", "floor_p50", "p50/floor")
    table = Table("ms", *(name.replace("_", " ") for name in shown))
    hour = results["hour"]
    for name, one in (
        ("a. 4 x 30 people, one set", results["crowd"]),
        ("b. gallery search", results["gallery"]),
        ("c. first minute", hour["first_minute"]),
        ("c. last minute", hour["last_minute"]),
    ):
        table.add_row(name, *(f"{one[k]:.2f}" if k in one else "" for k in shown))
    console.print(table)
    crowd, gallery = results["crowd"], results["gallery"]
    console.print(
        f"a: {crowd['boxes_a_set']:.0f} boxes a set. b: {gallery['found']:.0%} of the searches "
        f"find the person, {gallery['as_exhaustive']:.0%} whom comparing all finds. "
        f"c: {hour['sets']} sets, last / first minute {hour['last/first']:.2f}"
    )


if __name__ == "__main__":
    main()
