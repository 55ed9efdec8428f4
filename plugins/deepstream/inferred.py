"""Frames that bring their results along, and readers with the detector's and embedder's methods."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import structlog

from plugins.deepstream.metadata import People
from plugins.deepstream.throttle import iou
from plugins.frames import Detections, Frame
from plugins.inference.embedder import Crop, Embedder
from plugins.media.jpeg import encode_jpeg

log = structlog.get_logger()
Floats = npt.NDArray[np.float32]
SAME_BOX_IOU = 0.7
CHECK_EVERY = 50
LEAST_AGREEMENT = 0.9


def _nobody() -> Detections:
    return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32))


def _no_vectors() -> Floats:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class InferredFrame(Frame):
    """A frame of the GPU profile. ``vectors`` (N, D) belong to the N detections, rows of NaN where
    nobody was embedded; ``jpeg`` is empty where the GPU made none.
    """

    detections: Detections = field(default_factory=_nobody)
    vectors: Floats = field(default_factory=_no_vectors)
    jpeg: bytes = b""

    def with_people(self, people: People) -> Self:
        """The frame with what was found in it."""
        detections, vectors = people.detections()
        return replace(self, detections=detections, vectors=vectors)


class GraphDetector:
    """Has ``Detector``'s method; the work is done already."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """The detections that each frame brought along."""
        return [f.detections if isinstance(f, InferredFrame) else _nobody() for f in frames]


class GraphEmbedder:
    """Has ``Embedder``'s method: takes the vectors that the frames brought along, and asks
    ``reference`` for crops that have none.

    Every ``check_every``-th call with such vectors asks for one of them as well. If the two
    disagree (a model was swapped, or the texts in ``deepstream_configs`` draw crops in another
    way), the frames' vectors are left alone until they agree again: vectors of two models must
    never be compared.
    """

    def __init__(self, reference: Embedder, *, check_every: int = CHECK_EVERY) -> None:
        self._reference, self._check_every = reference, check_every
        self._calls = 0
        self._is_trusted = True

    @property
    def model_version(self) -> str:
        """Of the reference, with which the frames' vectors agree."""
        return self._reference.model_version

    def embed(self, crops: Sequence[Crop]) -> Floats:
        """(N, D) float32 vectors of N crops (frame, xyxy pixels of that frame)."""
        brought = [_brought(frame, bbox_xyxy) for frame, bbox_xyxy in crops]
        have = [k for k, vector in enumerate(brought) if vector is not None]
        if have and self._is_check_due():
            first = have[0]
            self._compare(brought[first], self._reference.embed([crops[first]])[0])
        wanted = [k for k, v in enumerate(brought) if v is None or not self._is_trusted]
        asked = self._reference.embed([crops[k] for k in wanted])
        if len(wanted) == len(crops):
            return asked
        return self._merged(brought, dict(zip(wanted, asked, strict=True)))

    def _is_check_due(self) -> bool:
        self._calls += 1
        return self._calls % self._check_every == 1

    def _compare(self, ours: Floats | None, theirs: Floats) -> None:
        agrees = (
            ours is not None
            and ours.shape == theirs.shape
            and float(ours @ theirs) >= LEAST_AGREEMENT
        )
        if agrees != self._is_trusted:
            log.warning("graph_vectors", trusted=agrees)
        self._is_trusted = agrees

    @staticmethod
    def _merged(brought: Sequence[Floats | None], asked: dict[int, Floats]) -> Floats:
        rows = [asked.get(k, vector) for k, vector in enumerate(brought)]
        return np.asarray(np.stack([row for row in rows if row is not None]), np.float32)


def encode_inferred(frame: Frame, quality: int) -> bytes:
    """The JPEG that the frame brought along, or one made here."""
    if isinstance(frame, InferredFrame) and frame.jpeg:
        return frame.jpeg
    return encode_jpeg(frame, quality)


def _brought(frame: Frame, bbox_xyxy: tuple[float, float, float, float]) -> Floats | None:
    """The vector of the detection at this box; None where it was not embedded."""
    if not isinstance(frame, InferredFrame) or not len(frame.detections):
        return None
    overlaps = iou(np.array([bbox_xyxy], np.float32), frame.detections.boxes_xyxy)[0]
    nearest = int(overlaps.argmax())
    if overlaps[nearest] < SAME_BOX_IOU or not frame.vectors.shape[1]:
        return None
    vector = frame.vectors[nearest]
    return None if np.isnan(vector).any() else vector
