"""How people look: a few telling embeddings of each, in one contiguous array.

Vectors are unit length, compared by inner product (cosine). They belong to one embedding model;
those of another mean nothing beside them. They are kept to half precision, which moves a cosine by
less than 0.001, so that snapshots are small and yet exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError
from plugins.tracking.camera_plane import BoolArray, FloatArray
from plugins.tracking.sketches import Bits, Sketcher, fewest_differences
from plugins.tracking.vector_pool import Rows, VectorPool, Vectors, grown

HalfVectors = npt.NDArray[np.float16]
_BEST_COMPARED = 3
_LEAST_QUALITY = 1e-3
_NO_COSINE = -2.0
# Up to so many people, all are compared; of more, those whose sketches differ least.
_SHORTLIST = 256


@dataclass(frozen=True, slots=True)
class PersonLooks:
    """What is kept of one person, ``vectors`` (K, D); ``quality`` (K,) 0..1 of their crops."""

    person: int
    vectors: HalfVectors
    quality: FloatArray


class Gallery:
    """Embeddings by person. ``model`` labels all vectors; ``person`` is any whole number.

    ``looks`` and ``centre`` are those of another gallery, which this one then equals.
    """

    def __init__(
        self,
        model: str,
        vectors_per_person: int,
        looks: Iterable[PersonLooks] = (),
        centre: Vectors | None = None,
    ) -> None:
        self.vectors_per_person = vectors_per_person
        self._clear(model)
        self._sketcher: Sketcher | None = None if centre is None else Sketcher(centre)
        for one in looks:
            for vector, quality in zip(one.vectors, one.quality.tolist(), strict=True):
                self.add(one.person, vector.astype(np.float32), quality)

    def __len__(self) -> int:
        """Number of people."""
        return len(self._row_of)

    @property
    def centre(self) -> Vectors | None:
        """The average look (D,) by which sketches are made, None while nobody needs them."""
        return None if self._sketcher is None else self._sketcher.centre

    def add(self, person: int, vector: Vectors, quality: float) -> None:
        """Stores a unit vector; over the cap, the poorer of the two most alike goes.

        Raises InvalidInputError when its length differs from the stored ones'.
        """
        pool = self._pool_for(vector)
        row = self._row_of.get(person)
        row = self._begin(person) if row is None else row
        own = [*self._own(row), pool.take(vector.astype(np.float16), quality)]
        if len(own) > self.vectors_per_person:
            pool.give_back([own.pop(_most_redundant(pool, np.array(own)))])
        self._slots[row] = -1
        self._slots[row, : len(own)] = own
        self._means.pop(person, None)
        self._sketch(row)

    def cosines(self, looks: Vectors, persons: Sequence[int]) -> FloatArray:
        """Cosine (Q, P) of looks (Q, D) to each of some people: the mean of the best three of
        their vectors, weighted by quality; NaN for who has none.
        """
        rows = np.array([self._row_of.get(person, -1) for person in persons], np.int64)
        found = np.full((len(looks), len(rows)), np.nan)
        if (rows >= 0).any():
            found[:, rows >= 0] = self._compare(looks, rows[rows >= 0])
        return found

    def nearest(self, look: Vectors, count: int) -> list[tuple[int, float]]:
        """The ``count`` people most like a look (D,) and their cosines, the most alike first."""
        if not self._row_of:
            return []
        rows = self._shortlist(look, max(count, _SHORTLIST))
        cosines = self._compare(look[None], rows)[0]
        persons = self._persons[rows]
        order = np.lexsort((persons, -cosines))[:count]
        return list(zip(persons[order].tolist(), cosines[order].tolist(), strict=True))

    def mean(self, person: int) -> Vectors | None:
        """Quality-weighted mean direction (D,), None for a person without embeddings."""
        row = self._row_of.get(person)
        if row is None:
            return None
        if person not in self._means:
            self._means[person] = self._mean(row)
        return self._means[person]

    def merge(self, kept: int, dropped: int) -> None:
        """Gives all embeddings of ``dropped`` to ``kept``."""
        row = self._row_of.get(dropped)
        if row is None:
            return
        moved = self._looks(row)
        self.forget([dropped])
        for vector, quality in zip(moved.vectors, moved.quality.tolist(), strict=True):
            self.add(kept, vector.astype(np.float32), quality)

    def forget(self, persons: Iterable[int]) -> None:
        """Drops all embeddings of some people."""
        for person in persons:
            row = self._row_of.pop(person, None)
            if row is None:
                continue
            self._means.pop(person, None)
            self._pool.give_back(self._own(row))
            last = len(self._row_of)
            for array in (self._persons, self._slots, self._bits):
                array[row] = array[last]
            if row != last:
                self._row_of[int(self._persons[row])] = row

    def use_model(self, model: str) -> None:
        """Switches to another embedding model; vectors of the old one are dropped."""
        if model != self.model:
            self._clear(model)

    def looks(self) -> list[PersonLooks]:
        """Everything, in an order that makes an equal gallery."""
        return [self._looks(row) for row in range(len(self._row_of))]

    def _clear(self, model: str) -> None:
        self.model = model
        self._pool = VectorPool(0)
        self._sketcher = None
        self._row_of: dict[int, int] = {}
        self._means: dict[int, Vectors] = {}
        self._persons = np.zeros(0, np.int64)
        self._slots: Rows = np.zeros((0, self.vectors_per_person), np.int32)
        self._bits: Bits = np.zeros((0, 128), np.uint8)

    def _pool_for(self, vector: Vectors) -> VectorPool:
        if not self._row_of and self._pool.dimension != vector.size:
            self._pool = VectorPool(vector.size)
            if self._sketcher is not None and self._sketcher.centre.size != vector.size:
                self._sketcher = None
        if self._pool.dimension != vector.size:
            raise InvalidInputError(
                f"model {self.model} gave {vector.size} numbers a crop, and "
                f"{self._pool.dimension} before: use another name for another model"
            )
        return self._pool

    def _begin(self, person: int) -> int:
        row = len(self._row_of)
        if row == len(self._persons):
            size = max(64, row + row // 2)
            self._persons, self._bits = grown(self._persons, size), grown(self._bits, size)
            self._slots = grown(self._slots, size, -1)
        self._persons[row], self._slots[row] = person, -1
        self._row_of[person] = row
        return row

    def _own(self, row: int) -> list[int]:
        slots = self._slots[row]
        return [int(slot) for slot in slots[slots >= 0]]

    def _looks(self, row: int) -> PersonLooks:
        pool, own = self._pool, self._slots[row][self._slots[row] >= 0]
        half = pool.vectors(own).astype(np.float16)
        return PersonLooks(int(self._persons[row]), half, pool.quality(own))

    def _mean(self, row: int) -> Vectors:
        pool, own = self._pool, self._slots[row][self._slots[row] >= 0]
        weights = np.maximum(pool.quality(own), _LEAST_QUALITY)
        total = (weights[:, None] * pool.vectors(own)).sum(axis=0)
        return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), dtype=np.float32)

    def _compare(self, looks: Vectors, rows: npt.NDArray[np.int64]) -> FloatArray:
        """(Q, P) for rows (P,)."""
        pool, slots = self._pool, self._slots[rows]
        # Everybody's vectors come first in their row.
        slots = slots[:, : int((slots >= 0).any(axis=0).sum())]
        is_taken: BoolArray = slots >= 0
        cosines = np.full((len(looks), *slots.shape), _NO_COSINE)
        cosines[:, is_taken] = looks @ pool.vectors(slots[is_taken]).T
        weights = np.where(is_taken, np.maximum(pool.quality(slots), _LEAST_QUALITY), 0.0)
        if slots.shape[1] > _BEST_COMPARED:
            best = np.argsort(-cosines, axis=2, kind="stable")[..., :_BEST_COMPARED]
            look, person = np.ogrid[: len(looks), : len(rows)]
            cosines = cosines[look[..., None], person[..., None], best]
            weights = weights[person[..., None], best]
        return np.asarray((cosines * weights).sum(axis=2) / weights.sum(axis=-1))

    def _shortlist(self, look: Vectors, count: int) -> npt.NDArray[np.int64]:
        people = len(self._row_of)
        if people <= count:
            return np.arange(people)
        if self._sketcher is None:
            means = np.stack([self._mean(row) for row in range(people)])
            self._sketcher = Sketcher(means.mean(axis=0))
            self._bits[:people] = self._sketcher.sketch(means)
        wanted = self._sketcher.sketch(look[None])[0]
        return fewest_differences(wanted, self._bits[:people], count)

    def _sketch(self, row: int) -> None:
        if self._sketcher is not None:
            self._bits[row] = self._sketcher.sketch(self._mean(row)[None])[0]


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """Rows (N, D) scaled to length one; rows that are zero or not finite become zero."""
    rows = np.nan_to_num(np.asarray(vectors, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return np.asarray(scaled, np.float32)


def _most_redundant(pool: VectorPool, own: npt.NDArray[Any]) -> int:
    """Which of some rows: the poorer of the two whose vectors are most alike."""
    vectors = pool.vectors(own).astype(np.float64)
    alike: FloatArray = vectors @ vectors.T - 2 * np.eye(len(own))
    a, b = divmod(int(alike.argmax()), len(own))
    quality = pool.quality(own)
    return a if quality[a] <= quality[b] else b
