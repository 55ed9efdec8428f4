"""How well stored events agree with the laboratory's two listed walkers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.tracking.assignment import iou
from tests.tracking.scoring import score


@dataclass(frozen=True, slots=True)
class LabScore:
    """IDF1 over all views with ids shared by them; how many ids and cameras each walker has.

    Boxes that cover nobody listed are left out: people at desks and views that the list lacks
    are no mistakes.
    """

    idf1: float
    ids_per_walker: Mapping[str, int]
    cameras_per_walker: Mapping[str, int]


def cross_camera_score(truth: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> LabScore:
    """``truth`` is pseudo_gt.json, ``events`` rows of tracking_events."""
    found: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for event in events:
        found[event["frame_index"], event["camera_id"]].append(event)
    names, ids, similarities = [], [], []
    owned, seen = defaultdict(set), defaultdict(set)
    for frame in truth["frames"]:
        for view in sorted({v for person in frame["people"] for v in person["views"]}):
            listed = [(p["id"], p["views"][view]) for p in frame["people"] if view in p["views"]]
            rows = found[frame["frame"], f"cam{view}"]
            overlap = iou(_boxes([box for _, box in listed]), _boxes([_box(r) for r in rows]))
            kept = np.flatnonzero(overlap.max(axis=0, initial=0) >= 0.5)
            names.append([name for name, _ in listed])
            ids.append([str(rows[k]["global_id"]) for k in kept])
            similarities.append(overlap[:, kept])
            for row, column in zip(*np.nonzero(overlap[:, kept] >= 0.5), strict=True):
                owned[listed[row][0]].add(ids[-1][column])
                seen[listed[row][0]].add(view)
    return LabScore(
        score(names, ids, similarities)["IDF1"],
        {name: len(own) for name, own in owned.items()},
        {name: len(views) for name, views in seen.items()},
    )


def _box(event: Mapping[str, Any]) -> list[float]:
    return [event["x1"], event["y1"], event["x2"], event["y2"]]


def _boxes(boxes: list[list[float]]) -> np.ndarray:
    return np.array(boxes, float).reshape(-1, 4)
