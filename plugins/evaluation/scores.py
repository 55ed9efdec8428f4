"""Identity scores of one sequence of names, by TrackEval.

HOTA: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-object Tracking", IJCV 2021.
IDF1: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking",
2016. MOTA, MODA: Bernardin and Stiefelhagen, "CLEAR MOT", 2008.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from trackeval.metrics import CLEAR, HOTA, Identity

from plugins.evaluation.footage import Area, NamedBoxes, Places
from plugins.tracking.assignment import assign, iou

Floats = npt.NDArray[np.float64]
MATCH = 0.5


class Scores(msgspec.Struct, frozen=True):
    """Shares 0..1 (``mota`` and ``moda`` may be negative); ``switches`` counts true people who
    change their found id; ``ids`` and ``people`` are how many there are of each.
    """

    idf1: float
    hota: float
    mota: float
    switches: int
    moda: float
    deta: float
    assa: float
    ids: int
    people: int


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame's names, and how alike (N, M) true and found are; 0.5 and more is a match."""

    true: tuple[str, ...]
    found: tuple[str, ...]
    similarity: Floats


def score(moments: Sequence[Moment]) -> Scores | None:
    """Scores of frames in order; None where nobody is to be found."""
    true_ids, people = _numbered(m.true for m in moments)
    found_ids, ids = _numbered(m.found for m in moments)
    data = {
        "num_timesteps": len(moments),
        "num_gt_ids": people,
        "num_tracker_ids": ids,
        "num_gt_dets": sum(len(m.true) for m in moments),
        "num_tracker_dets": sum(len(m.found) for m in moments),
        "gt_ids": true_ids,
        "tracker_ids": found_ids,
        "similarity_scores": [m.similarity for m in moments],
    }
    if not data["num_gt_dets"]:
        return None
    quiet = {"PRINT_CONFIG": False}
    identity = Identity(quiet).eval_sequence(data)
    clear, hota = CLEAR(quiet).eval_sequence(data), HOTA().eval_sequence(data)
    return Scores(
        idf1=float(identity["IDF1"]),
        hota=float(np.mean(hota["HOTA"])),
        mota=float(clear["MOTA"]),
        switches=int(clear["IDSW"]),
        moda=float(clear["MODA"]),
        deta=float(np.mean(hota["DetA"])),
        assa=float(np.mean(hota["AssA"])),
        ids=ids,
        people=people,
    )


def view_moment(true: NamedBoxes, found: NamedBoxes, *, lists_everybody: bool) -> Moment:
    """One picture: alike is how much boxes overlap."""
    overlap = iou(true.boxes_xyxy, found.boxes_xyxy)
    return _moment(true.names, found.names, overlap, true.unscored, lists_everybody)


def floor_moment(
    true: Places,
    found: Places,
    within_m: float,
    *,
    area: Area | None = None,
    unscored: frozenset[str] = frozenset(),
    lists_everybody: bool = True,
) -> Moment:
    """The floor at one moment: alike is 1 at no distance, 0.5 at ``within_m``, 0 at twice that.

    Outside of ``area`` nobody counts.
    """
    true, found = clipped(true, area), clipped(found, area)
    gaps = np.reshape(list(true.values()), (-1, 1, 2)) - np.reshape(
        list(found.values()), (1, -1, 2)
    )
    closeness = np.clip(1 - np.linalg.norm(gaps, axis=2) / (2 * within_m), 0, 1)
    return _moment(tuple(true), tuple(found), closeness, unscored, lists_everybody)


def clipped(places: Places, area: Area | None) -> Places:
    """Those in the area."""
    return places if area is None else {n: p for n, p in places.items() if area.holds(p)}


def _moment(
    true: tuple[str, ...],
    found: tuple[str, ...],
    similarity: Floats,
    unscored: frozenset[str],
    lists_everybody: bool,
) -> Moment:
    """Leaves out who is not to be scored, and what was found of them."""
    kept_true = np.array([name not in unscored for name in true], bool)
    kept_found = np.ones(len(found), bool)
    if not kept_true.all():
        rows, columns = assign(np.where(similarity >= MATCH, similarity, 0.0), 0.0)
        kept_found[columns[~kept_true[rows]]] = False
    if not lists_everybody:
        kept_found &= similarity.max(axis=0, initial=0) >= MATCH
    return Moment(
        tuple(np.array(true, object)[kept_true]),
        tuple(np.array(found, object)[kept_found]),
        np.ascontiguousarray(similarity[kept_true][:, kept_found]),
    )


def _numbered(names: Iterable[tuple[str, ...]]) -> tuple[list[npt.NDArray[np.intp]], int]:
    number: dict[str, int] = {}
    rows = [
        np.array([number.setdefault(name, len(number)) for name in frame], np.intp)
        for frame in names
    ]
    return rows, len(number)
