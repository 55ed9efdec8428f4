"""What is true of a model's answers, and whether a candidate may take over. Pure."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from plugins.evaluation.footage import NamedBoxes
from plugins.frames import Detections
from plugins.tracking.parameters import TrackingParameters
from training.detection.scoring import Answer, scored
from training.reidentification.metrics import Labels, score

Floats = npt.NDArray[np.float32]
FALL = 0.02
LEAST_AGREEMENT = 0.8


def box_accuracy(
    found: Sequence[Detections],
    truths: Sequence[NamedBoxes | None],
    threshold: float,
    *,
    lists_everybody: bool,
) -> dict[str, float] | None:
    """Recall, and, where the truth lists everybody, precision and AP50; None without a truth."""
    answers = [
        _answer(detections, truth)
        for detections, truth in zip(found, truths, strict=True)
        if truth is not None
    ]
    if not answers:
        return None
    values = scored(answers, threshold)
    accuracy = {"recall": values.recall}
    if lists_everybody:
        accuracy |= {"precision": values.precision, "ap50": values.ap50}
    return {name: round(value, 4) for name, value in accuracy.items()}


def _answer(detections: Detections, truth: NamedBoxes) -> Answer:
    boxes = truth.boxes_xyxy.astype(np.float32).reshape(-1, 4)
    is_wanted = np.array([name not in truth.unscored for name in truth.names], bool)
    return Answer(detections.boxes_xyxy, detections.scores, boxes[is_wanted], boxes[~is_wanted])


def labels_of(who: Sequence[tuple[str, str]]) -> Labels | None:
    """None where nobody's name is known, or no two pictures of one person are."""
    names = [name for name, _ in who]
    if "" in names or len(set(names)) in {0, 1} or len({camera for _, camera in who}) == 1:
        return None
    person = np.unique(names, return_inverse=True)[1].astype(np.int64)
    camera = np.unique([camera for _, camera in who], return_inverse=True)[1].astype(np.int64)
    return Labels(person, camera, np.zeros(len(who), np.int64))


def vector_accuracy(vectors: Floats, labels: Labels | None) -> dict[str, float] | None:
    """How well people are told apart across cameras, with the tracker's own thresholds."""
    if labels is None:
        return None
    limits = TrackingParameters()
    values = score(vectors, labels, (limits.same_cosine, limits.different_cosine))
    names = ("rank1", "mean_ap", "same_median", "different_median", "missed", "confused")
    return {name: round(getattr(values, name), 4) for name in names}


def detector_problems(
    before: Mapping[str, float] | None, after: Mapping[str, float] | None, found: float
) -> list[str]:
    """Why a detector should not take over: a truth decides where there is one, else agreement."""
    if before is not None and after is not None:
        return [
            f"{name} falls from {before[name]:.3f} to {after[name]:.3f}"
            for name in before
            if after[name] < before[name] - FALL or math.isnan(after[name])
        ]
    if not found >= LEAST_AGREEMENT:
        return [f"it finds {found:.0%} of the boxes that the serving model finds"]
    return []


def embedder_problems(
    before: Mapping[str, float] | None, after: Mapping[str, float] | None, correlation: float
) -> list[str]:
    """Why an embedder should not take over; the tracker's thresholds have to fit it as well."""
    if before is None or after is None:
        if not correlation >= LEAST_AGREEMENT:
            return [f"it orders pairs of people differently (correlation {correlation:.2f})"]
        return []
    worse = [
        f"{name} falls from {before[name]:.3f} to {after[name]:.3f}"
        for name in ("rank1", "mean_ap")
        if after[name] < before[name] - FALL
    ]
    mistakes = [side["missed"] + side["confused"] for side in (before, after)]
    if mistakes[1] > mistakes[0] + FALL:
        worse.append(
            f"with the cosine thresholds of plugins/tracking/parameters.py it misses "
            f"{after['missed']:.1%} of one person's pairs (before: {before['missed']:.1%}) and "
            f"confuses {after['confused']:.1%} of two people's ({before['confused']:.1%})"
        )
    return worse


def slowness(ratio: float, most: float) -> list[str]:
    """Whether it takes too long, ``ratio`` times the serving version's time."""
    return [f"it takes {ratio:.2f} times as long, {most:g} is allowed"] if ratio > most else []
