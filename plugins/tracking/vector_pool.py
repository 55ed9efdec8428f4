"""Rows of one contiguous array that are handed out and given back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.tracking.camera_plane import FloatArray

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
_FIRST_ROWS = 64


class VectorPool:
    """Vectors (R, D) with a quality (R,) each; a row stays where it is until it is freed."""

    def __init__(self, dimension: int) -> None:
        self._vectors: Vectors = np.zeros((0, dimension), np.float32)
        self._quality: FloatArray = np.zeros(0)
        self._free: list[int] = []

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return int(self._vectors.shape[1])

    def take(self, vector: Vectors, quality: float) -> int:
        """Stores a vector (D,) and returns its row."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._vectors[row], self._quality[row] = vector, quality
        return row

    def give_back(self, rows: Sequence[int]) -> None:
        """Lets others have these rows; what they held is overwritten with zeros."""
        self._vectors[list(rows)] = 0.0
        self._free += rows

    def vectors(self, rows: npt.NDArray[Any]) -> Vectors:
        """(K, D) of rows (K,)."""
        return self._vectors.take(rows, axis=0)

    def quality(self, rows: npt.NDArray[Any]) -> FloatArray:
        """Of rows of any shape."""
        return self._quality.take(rows)

    def _grow(self) -> None:
        size = len(self._vectors)
        more = max(_FIRST_ROWS, size // 2)
        self._vectors = grown(self._vectors, size + more)
        self._quality = grown(self._quality, size + more)
        self._free = list(range(size + more - 1, size - 1, -1))


def grown(array: npt.NDArray[Any], rows: int, fill: float = 0) -> npt.NDArray[Any]:
    """A copy with more rows, the new ones filled."""
    larger = np.full((rows, *array.shape[1:]), fill, array.dtype)
    larger[: len(array)] = array
    return larger
