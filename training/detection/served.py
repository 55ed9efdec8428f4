"""A detector under the model contract, asked as the worker asks it but without a server."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime

from plugins.errors import InvalidInputError
from plugins.frames import Detections, Frame
from plugins.inference.detector import to_detections
from plugins.inference.model_import import import_model
from plugins.inference.pictures import write_letterboxed

_LEAST_SCORE = 0.1
_WARM_UP = 20
_ROUNDS, _ROUND_S = 6, 1.0


@dataclass(frozen=True, slots=True, eq=False)
class ServedDetector:
    """``size_hw`` is the input's. Make it with ``load``."""

    name: str
    path: Path
    session: Any
    size_hw: tuple[int, int]

    @classmethod
    def load(cls, name: str, path: Path, threads: int = 1) -> "ServedDetector":
        """Raises InvalidInputError where there is no such file."""
        if not path.is_file():
            raise InvalidInputError(f"there is no detector {path}: train or import one first")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        height, width = session.get_inputs()[0].shape[2:]
        return cls(name, path, session, (height, width))

    def detect(self, frame: Frame) -> Detections:
        """Letterbox, network, suppression, boxes in the frame's pixels."""
        pixels = np.empty((3, *self.size_hw), np.uint8)
        place = write_letterboxed(frame, pixels)
        boxes, scores = self.session.run(["boxes", "scores"], {"images": pixels[None]})
        return to_detections(place, boxes[0], scores[0], _LEAST_SCORE)


def open_detectors(models: Path, folder: Path, threads: int = 1) -> list[ServedDetector]:
    """RTMDet-nano at 320 x 320 and at 288 x 512, and YOLOX-nano, imported into ``folder``."""
    sources: Sequence[tuple[str, str, tuple[int, int] | None]] = (
        ("rtmdet_nano", "rtmdet", (320, 320)),
        ("rtmdet_nano", "rtmdet", (288, 512)),
        ("yolox_nano_416x416", "yolox", None),
    )
    found = []
    (folder / "person_detector").mkdir(parents=True, exist_ok=True)
    (folder / "person_detector" / "config.pbtxt").touch()
    for name, layout, size_hw in sources:
        source = models / f"{name}.onnx"
        path = import_model(source, "person_detector", layout, folder, size_hw).path
        detector = ServedDetector.load(layout, path, threads)
        height, width = detector.size_hw
        found.append(replace(detector, name=f"{layout}_nano {width}x{height}"))
    return found


def frames_per_second(detector: ServedDetector, frames: Sequence[Frame]) -> float:
    """Of the fastest frame, after a warm-up: other work on the machine only ever slows one down."""
    for k in range(_WARM_UP):
        detector.detect(frames[k % len(frames)])
    taken = []
    for frame in frames:
        began = perf_counter()
        detector.detect(frame)
        taken.append(perf_counter() - began)
    return 1 / min(taken)


def frames_per_second_abreast(
    detector: ServedDetector, frames: Sequence[Frame], callers: int
) -> float:
    """With so many frames under way at any time, each on a thread of its own: the best of some
    rounds of a second.
    """
    alone = ServedDetector.load(detector.name, detector.path)

    def detect_for_a_while(_: int) -> int:
        ends = perf_counter() + _ROUND_S
        for done, frame in enumerate(cycle(frames)):
            if perf_counter() > ends:
                return done
            alone.detect(frame)
        return 0

    best = 0.0
    with ThreadPoolExecutor(callers) as pool:
        for _ in range(_ROUNDS):
            began = perf_counter()
            done = sum(pool.map(detect_for_a_while, range(callers)))
            best = max(best, done / (perf_counter() - began))
    return best
