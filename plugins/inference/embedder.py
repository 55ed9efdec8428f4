"""Crops of people to appearance vectors."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from plugins.frames import Frame
from plugins.inference.pictures import BoxXYXY, write_crop
from plugins.inference.triton_client import Triton

MODEL = "person_reid"
BATCH = 16
Floats = npt.NDArray[np.float32]
Crop = tuple[Frame, BoxXYXY]


class Embedder:
    """Turns pictures of people into vectors of length 1; for one thread.

    Waits for the server and its model when made. Vectors of different ``model_version`` must
    never be compared.
    """

    def __init__(self, triton: Triton, *, batch: int = BATCH) -> None:
        self._session = triton.session(MODEL, batch)
        self._dimension = 0

    @property
    def model_version(self) -> str:
        """``person_reid/version/sha256`` of the model that made the last vectors."""
        return self._session.model_version

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        if not self._dimension:
            answer = self._session.run(1, lambda pixels: pixels.fill(0))
            self._dimension = answer["embeddings"].shape[1]
        return self._dimension

    def embed(self, crops: Sequence[Crop]) -> Floats:
        """(N, D) float32 vectors of N crops (frame, xyxy pixels of that frame).

        All are of one model: if the server changes models in between, the crops are embedded
        again. Raises TritonUnavailableError, or InvalidModelError if the served model does not
        keep the contract.
        """
        if not crops:
            return np.empty((0, self.dimension), np.float32)
        while True:
            vectors, versions = self._embed_all(crops)
            if len(versions) == 1:
                self._dimension = vectors.shape[1]
                return vectors

    def _embed_all(self, crops: Sequence[Crop]) -> tuple[Floats, set[str]]:
        parts: list[Floats] = []
        versions: set[str] = set()
        start = 0
        while start < len(crops):
            batch = crops[start : start + self._session.max_batch]
            parts.append(self._embed_batch(batch))
            versions.add(self.model_version)
            start += len(batch)
        is_one_model = len(versions) == 1
        return (np.concatenate(parts) if is_one_model else parts[-1]), versions

    def _embed_batch(self, crops: Sequence[Crop]) -> Floats:
        def draw(pixels: npt.NDArray[np.uint8]) -> None:
            for (frame, bbox_xyxy), target in zip(crops, pixels, strict=True):
                write_crop(frame, bbox_xyxy, target)

        return np.asarray(self._session.run(len(crops), draw)["embeddings"], np.float32)
