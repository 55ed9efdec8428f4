"""A candidate model beside the serving one, over the same recorded moments.

Each runs in an embedded Triton of its own, from its ONNX file, on this machine's CPU: contract,
agreement and accuracy hold for any engine made of that file, the latency is this machine's.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from control_plane.model_verdict import (
    box_accuracy,
    detector_problems,
    embedder_problems,
    labels_of,
    slowness,
    vector_accuracy,
)
from plugins.errors import InvalidInputError
from plugins.evaluation.footage import NamedBoxes
from plugins.frames import Detections
from plugins.inference.agreement import box_agreement, vector_agreement
from plugins.inference.detector import Detector
from plugins.inference.embedder import Crop, Embedder
from plugins.inference.model_import import MODEL_FILE, RECORD_FILE, warm_up_serving
from plugins.inference.serving import write_policy
from plugins.inference.trial_footage import Moment, box_of
from plugins.inference.triton_client import Triton
from plugins.inference.triton_server import TritonServer

Floats = npt.NDArray[np.float32]
T = TypeVar("T")
R = TypeVar("R")
DETECTOR, EMBEDDER = "person_detector", "person_reid"
MOST_CROPS = 1500


class Side(msgspec.Struct, frozen=True):
    """What one of the two did: ``accuracy`` by name, None where nothing is known to be true."""

    version: str
    p50_ms: float
    p95_ms: float
    accuracy: dict[str, float] | None


class Trial(msgspec.Struct, frozen=True):
    """Both sides, how far they agree, and why the candidate should not serve, if so."""

    model: str
    footage: str
    pictures: int
    serving: Side
    candidate: Side
    agreement: dict[str, Any]
    latency_ratio: float
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """The footage's name, whether its truth lists everybody, the least confidence of a box, and how
    many times as long the candidate may take.
    """

    footage: str
    lists_everybody: bool
    threshold: float
    most_ratio: float


@dataclass(slots=True)
class _Record:
    """Answers and times of one side."""

    seconds: list[float] = field(default_factory=list)
    boxes: list[Detections] = field(default_factory=list)
    vectors: list[Floats] = field(default_factory=list)

    def time(self, action: Callable[[T], R], given: T) -> R:
        began = time.perf_counter()
        result = action(given)
        self.seconds.append(time.perf_counter() - began)
        return result


@contextlib.contextmanager
def served(python: Path, repository: Path, versions: Mapping[str, Path]) -> Iterator[Triton]:
    """An embedded Triton of its own with the given version folder of each model."""
    with tempfile.TemporaryDirectory(prefix="spoton-trial-") as name:
        place = Path(name) / "model_repository"
        for model, version in versions.items():
            copy_version(repository / model, version, place / model)
        server = TritonServer(python, place, Path(name) / "runtime")
        try:
            server.start()
            server.wait_ready()
            triton = Triton(server.url, repository=place)
            try:
                yield triton
            finally:
                triton.close()
        finally:
            server.close()


def copy_version(folder: Path, version: Path, target: Path) -> None:
    """The model's configurations with one version alone. InvalidInputError without its ONNX."""
    require_onnx(version)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("[0-9]*"))
    (target / version.name).mkdir()
    for name in (MODEL_FILE, RECORD_FILE):
        if (version / name).is_file():
            shutil.copyfile(version / name, target / version.name / name)
    write_policy(target, None)
    warm_up_serving(target)


def require_onnx(version: Path) -> None:
    """InvalidInputError for a version that cannot be tried here."""
    if not (version / MODEL_FILE).is_file():
        raise InvalidInputError(f"{version} has no {MODEL_FILE}: only ONNX files can be compared")


def try_detector(
    serving: Triton, candidate: Triton, moments: Iterable[Moment], conditions: Conditions
) -> Trial:
    """Every moment's pictures through both, in turn which is first."""
    threshold = conditions.threshold
    detectors = [Detector(t, score_threshold=threshold) for t in (serving, candidate)]
    records = (_Record(), _Record())
    truths: list[NamedBoxes | None] = []
    for number, moment in enumerate(moments):
        frames = list(moment.frames.values())
        truths += [moment.truth.get(camera_id) for camera_id in moment.frames]
        for side in _in_turn(number):
            records[side].boxes += records[side].time(detectors[side].detect, frames)
    _require_pictures(truths, conditions)
    agreement = asdict(box_agreement(records[0].boxes, records[1].boxes))
    sides = [
        _side(
            record,
            detector.model_version,
            box_accuracy(
                record.boxes, truths, threshold, lists_everybody=conditions.lists_everybody
            ),
        )
        for record, detector in zip(records, detectors, strict=True)
    ]
    problems = detector_problems(sides[0].accuracy, sides[1].accuracy, agreement["found"])
    return _trial(DETECTOR, conditions, len(truths), sides, agreement, problems=problems)


def try_embedder(
    serving: Triton, candidate: Triton, moments: Iterable[Moment], conditions: Conditions
) -> Trial:
    """Every moment's people through both: those that the truth lists, else those that the serving
    detector finds.
    """
    detector = Detector(serving, score_threshold=conditions.threshold)
    embedders = (Embedder(serving), Embedder(candidate))
    records = (_Record(), _Record())
    who: list[tuple[str, str]] = []
    for number, moment in enumerate(moments):
        crops, names = people_of(moment, detector)
        if not crops or len(who) >= MOST_CROPS:
            continue
        who += names
        for side in _in_turn(number):
            records[side].vectors.append(records[side].time(embedders[side].embed, crops))
    _require_pictures(who, conditions)
    vectors = [np.concatenate(record.vectors) for record in records]
    agreement = asdict(vector_agreement(*vectors))
    labels = labels_of(who)
    sides = [
        _side(record, embedder.model_version, vector_accuracy(own, labels))
        for record, embedder, own in zip(records, embedders, vectors, strict=True)
    ]
    problems = embedder_problems(
        sides[0].accuracy, sides[1].accuracy, agreement["pair_correlation"]
    )
    return _trial(EMBEDDER, conditions, len(who), sides, agreement, problems=problems)


def people_of(moment: Moment, detector: Detector) -> tuple[list[Crop], list[tuple[str, str]]]:
    """Crops, and of each (person, camera); "" for a person nobody can name."""
    crops: list[Crop] = []
    names: list[tuple[str, str]] = []
    for camera_id, truth in moment.truth.items():
        for name, box in zip(truth.names, truth.boxes_xyxy, strict=True):
            if name not in truth.unscored:
                crops.append((moment.frames[camera_id], box_of(box)))
                names.append((name, camera_id))
    if moment.truth:
        return crops, names
    found = detector.detect(list(moment.frames.values()))
    for (camera_id, frame), detections in zip(moment.frames.items(), found, strict=True):
        crops += [(frame, box_of(box)) for box in detections.boxes_xyxy]
        names += [("", camera_id)] * len(detections)
    return crops, names


def _in_turn(number: int) -> tuple[int, int]:
    return (0, 1) if number % 2 == 0 else (1, 0)


def _side(record: _Record, version: str, accuracy: dict[str, float] | None) -> Side:
    """Milliseconds of a set's request, or, where vectors were made, of one crop."""
    milliseconds = np.array(record.seconds) * 1e3
    if record.vectors:
        milliseconds /= [len(vectors) for vectors in record.vectors]
    p50, p95 = np.percentile(milliseconds, (50, 95))
    return Side(version, round(float(p50), 2), round(float(p95), 2), accuracy)


def _trial(
    model: str,
    conditions: Conditions,
    pictures: int,
    sides: Sequence[Side],
    agreement: dict[str, Any],
    *,
    problems: list[str],
) -> Trial:
    ratio = round(sides[1].p50_ms / sides[0].p50_ms, 3)
    return Trial(
        model=model,
        footage=conditions.footage,
        pictures=pictures,
        serving=sides[0],
        candidate=sides[1],
        agreement=agreement,
        latency_ratio=ratio,
        problems=problems + slowness(ratio, conditions.most_ratio),
    )


def _require_pictures(seen: Sequence[object], conditions: Conditions) -> None:
    if not seen:
        raise InvalidInputError(
            f"{conditions.footage} shows nobody to compare the models on: name other footage"
        )
