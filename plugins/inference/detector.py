"""Frames to person boxes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import LifoQueue

import numpy as np
import numpy.typing as npt

from plugins.frames import Detections, Frame
from plugins.inference.pictures import Letterbox, write_letterboxed
from plugins.inference.triton_client import ModelSession, Triton

MODEL = "person_detector"


class Detector:
    """Finds people; for ``at_once`` threads. Waits for the server and its model when made.

    ``score_threshold`` drops weaker boxes (the model itself drops those under about 0.1);
    ``batch`` is the most frames in one request.
    """

    def __init__(
        self, triton: Triton, *, score_threshold: float = 0.1, batch: int = 4, at_once: int = 1
    ) -> None:
        self.score_threshold = score_threshold
        self._idle: LifoQueue[ModelSession] = LifoQueue()
        for _ in range(at_once):
            self._last = triton.session(MODEL, batch)
            self._idle.put(self._last)

    @property
    def model_version(self) -> str:
        """``person_detector/version/sha256`` of the model that answered last."""
        return self._last.model_version

    @property
    def input_size_hw(self) -> tuple[int, int]:
        """Height and width of the model's input."""
        return self._last.served.size_hw

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """People in each frame, in the order of ``frames``; frames may differ in size.

        Raises TritonUnavailableError, or InvalidModelError if the served model does not keep the
        contract.
        """
        found: list[Detections] = []
        with self._session() as session:
            while len(found) < len(frames):
                start = len(found)
                found.extend(self._detect_batch(session, frames[start : start + session.max_batch]))
        return found

    @contextmanager
    def _session(self) -> Iterator[ModelSession]:
        session = self._idle.get()
        try:
            yield session
            self._last = session
        finally:
            self._idle.put(session)

    def _detect_batch(self, session: ModelSession, frames: Sequence[Frame]) -> list[Detections]:
        places: list[Letterbox] = []

        def draw(pixels: npt.NDArray[np.uint8]) -> None:
            places[:] = [
                write_letterboxed(frame, target)
                for frame, target in zip(frames, pixels, strict=True)
            ]

        answer = session.run(len(frames), draw)
        boxes = np.asarray(answer["boxes"], np.float32)
        scores = np.asarray(answer["scores"], np.float32)
        return [
            to_detections(place, boxes[row], scores[row], self.score_threshold)
            for row, place in enumerate(places)
        ]


def to_detections(
    place: Letterbox,
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    score_threshold: float,
) -> Detections:
    """Boxes (100, 4) of the model input and scores (100,), zero-padded, as full-frame detections.

    Boxes that lie wholly in the padding, and those under the threshold, are left out.
    """
    boxes_xyxy = place.to_frame(boxes)
    has_area = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)
    kept = (scores > 0) & (scores >= score_threshold) & has_area
    return Detections(boxes_xyxy[kept], scores[kept])
