"""How well vectors tell people apart, as re-identification is usually scored. Pure numpy."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What is true of N crops, each (N,): who, by which camera, in which scene."""

    person: Integers
    camera: Integers
    scene: Integers


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """All pairs of one scene's crops, each (S, S)."""

    cosine: Floats
    is_same: Flags
    is_other_camera: Flags


@dataclass(frozen=True, slots=True)
class Scores:
    """``rank1`` and ``mean_ap`` over ``queries`` of a crop against those of all other cameras.

    Of pairs from two cameras: ``same_median``, ``same_p05`` (5 % lie below) of one person's,
    ``different_median``, ``different_p99`` of two people's; ``missed`` of the same below the lower
    threshold, ``confirmed`` at or above the upper one, ``confused`` of two people's at or above the
    upper one, ``kept_apart`` below the lower one.
    """

    queries: int
    rank1: float
    mean_ap: float
    same_median: float
    same_p05: float
    different_median: float
    different_p99: float
    confirmed: float
    missed: float
    confused: float
    kept_apart: float


def score(vectors: Floats, labels: Labels, thresholds: tuple[float, float]) -> Scores:
    """Of vectors (N, D) of length 1; ``thresholds`` are the upper and the lower one.

    Each crop is a query once, its gallery are the crops of the same scene by other cameras (Zheng
    et al. 2015, without distractors). Queries of people whom no other camera shows do not count.
    """
    hits = [row for scene in _scenes(vectors, labels) for row in _rankings(scene)]
    same, different = pair_cosines(vectors, labels)
    upper, lower = thresholds
    return Scores(
        queries=len(hits),
        rank1=float(np.mean([row[0] for row in hits])),
        mean_ap=float(np.mean([average_precision(row) for row in hits])),
        same_median=float(np.median(same)),
        same_p05=float(np.quantile(same, 0.05)),
        different_median=float(np.median(different)),
        different_p99=float(np.quantile(different, 0.99)),
        confirmed=float((same >= upper).mean()),
        missed=float((same < lower).mean()),
        confused=float((different >= upper).mean()),
        kept_apart=float((different < lower).mean()),
    )


def pair_cosines(vectors: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Cosines of all pairs of crops of one scene and two cameras: one person's, two people's."""
    same, different = [], []
    for scene in _scenes(vectors, labels):
        is_pair = np.triu(scene.is_other_camera)
        same.append(scene.cosine[is_pair & scene.is_same])
        different.append(scene.cosine[is_pair & ~scene.is_same])
    return np.concatenate(same), np.concatenate(different)


def average_precision(hits: Flags) -> float:
    """Mean precision at each hit of a ranking, best first."""
    places = np.nonzero(hits)[0]
    return float(np.mean(np.arange(1, len(places) + 1) / (places + 1)))


def _scenes(vectors: Floats, labels: Labels) -> Iterator[_Scene]:
    for number in np.unique(labels.scene):
        rows = np.nonzero(labels.scene == number)[0]
        person, camera = labels.person[rows], labels.camera[rows]
        yield _Scene(
            cosine=vectors[rows] @ vectors[rows].T,
            is_same=person[:, None] == person[None, :],
            is_other_camera=camera[:, None] != camera[None, :],
        )


def _rankings(scene: _Scene) -> Iterator[Flags]:
    """For each query whether each of its gallery is the same person, best first."""
    for row in np.nonzero((scene.is_same & scene.is_other_camera).any(1))[0]:
        candidates = scene.is_other_camera[row]
        order = np.argsort(-scene.cosine[row, candidates], kind="stable")
        yield np.asarray(scene.is_same[row, candidates][order])
