"""Identity scores of people on the floor, through TrackEval."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from trackeval.metrics import CLEAR, HOTA, Identity

Places = dict[str, tuple[float, float]]
Boxes = dict[str, tuple[float, float, float, float]]


def score_places(
    truth: Sequence[Places], found: Sequence[Places], within_m: float
) -> dict[str, float]:
    """IDF1, MOTA, HOTA and identity switches of people by name, frame by frame."""
    similarity = [
        _closeness(list(t.values()), list(f.values()), within_m)
        for t, f in zip(truth, found, strict=True)
    ]
    return score([list(t) for t in truth], [list(f) for f in found], similarity)


def score(
    truth: Sequence[list[str]],
    found: Sequence[list[str]],
    similarity: Sequence[npt.NDArray[np.float64]],
) -> dict[str, float]:
    """The same from names per frame and similarities, where 0.5 and more is a match."""
    truth_ids, truth_count = _numbered(truth)
    found_ids, found_count = _numbered(found)
    data = {
        "num_timesteps": len(truth),
        "num_gt_ids": truth_count,
        "num_tracker_ids": found_count,
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, found)),
        "gt_ids": truth_ids,
        "tracker_ids": found_ids,
        "similarity_scores": list(similarity),
    }
    quiet = {"PRINT_CONFIG": False}
    identity = Identity(quiet).eval_sequence(data)
    clear = CLEAR(quiet).eval_sequence(data)
    hota = HOTA().eval_sequence(data)
    return {
        "IDF1": float(identity["IDF1"]),
        "MOTA": float(clear["MOTA"]),
        "HOTA": float(np.mean(hota["HOTA"])),
        "IDSW": float(clear["IDSW"]),
        "ids": float(found_count),
    }


def _closeness(
    truth: list[tuple[float, float]], found: list[tuple[float, float]], within_m: float
) -> npt.NDArray[np.float64]:
    gaps = np.reshape(truth, (-1, 1, 2)) - np.reshape(found, (1, -1, 2))
    return np.clip(1 - np.linalg.norm(gaps, axis=2) / (2 * within_m), 0, 1)


def _numbered(names: Sequence[list[str]]) -> tuple[list[npt.NDArray[np.intp]], int]:
    number: dict[str, int] = {}
    rows = [
        np.array([number.setdefault(name, len(number)) for name in frame], np.intp)
        for frame in names
    ]
    return rows, len(number)
