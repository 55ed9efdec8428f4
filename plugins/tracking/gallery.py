"""How people look: a few telling embeddings of each, searched with FAISS.

Vectors are unit length, compared by inner product (cosine). They belong to one embedding model;
those of another mean nothing beside them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError
from plugins.tracking.camera_plane import FloatArray

Vectors = npt.NDArray[np.float32]
_BEST_COMPARED = 3


@dataclass(slots=True)
class Entry:
    """One embedding (D,) of a person; ``quality`` 0..1 of the crop it was made of."""

    person: int
    vector: Vectors
    quality: float


@dataclass(slots=True)
class Gallery:
    """Embeddings by person. ``model`` labels all vectors; ``person`` is any whole number."""

    model: str
    vectors_per_person: int
    entries: list[Entry] = field(default_factory=list)
    _index: Any = None

    def add(self, person: int, vector: Vectors, quality: float) -> None:
        """Stores a unit vector; over the cap, the poorer of the two most alike goes.

        Raises InvalidInputError when its length differs from the stored ones'.
        """
        if self.entries and self.entries[0].vector.shape != vector.shape:
            raise InvalidInputError(
                f"model {self.model} gave {vector.size} numbers a crop, and "
                f"{self.entries[0].vector.size} before: use another name for another model"
            )
        self.entries.append(Entry(person, np.ascontiguousarray(vector, np.float32), quality))
        own = [i for i, entry in enumerate(self.entries) if entry.person == person]
        if len(own) > self.vectors_per_person:
            del self.entries[self._most_redundant(own)]
        self._index = None

    def similarity(self, vector: Vectors, persons: Iterable[int]) -> dict[int, float]:
        """Cosine to each of ``persons`` that has embeddings: the mean of the best three,
        weighted by quality.
        """
        wanted = set(persons)
        rows = np.array([i for i, e in enumerate(self.entries) if e.person in wanted], np.int64)
        if not rows.size:
            return {}
        selector = faiss.IDSelectorBatch(rows)
        options = faiss.SearchParameters()
        options.sel = selector
        cosines, found = self._searchable().search(
            np.ascontiguousarray(vector[None], np.float32), int(rows.size), params=options
        )
        by_person: dict[int, list[tuple[float, float]]] = {}
        for cosine, row in zip(cosines[0].tolist(), found[0].tolist(), strict=True):
            entry = self.entries[row]
            by_person.setdefault(entry.person, []).append((cosine, entry.quality))
        return {person: _weighted_best(pairs) for person, pairs in sorted(by_person.items())}

    def mean(self, person: int) -> Vectors | None:
        """Quality-weighted mean direction (D,), None for a person without embeddings."""
        own = [entry for entry in self.entries if entry.person == person]
        if not own:
            return None
        total = np.sum([max(e.quality, 1e-3) * e.vector for e in own], axis=0)
        return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), dtype=np.float32)

    def merge(self, kept: int, dropped: int) -> None:
        """Gives all embeddings of ``dropped`` to ``kept``."""
        moved = [entry for entry in self.entries if entry.person == dropped]
        self.forget({dropped})
        for entry in moved:
            self.add(kept, entry.vector, entry.quality)

    def forget(self, persons: set[int]) -> None:
        """Drops all embeddings of some people."""
        self.entries = [entry for entry in self.entries if entry.person not in persons]
        self._index = None

    def use_model(self, model: str) -> None:
        """Switches to another embedding model; vectors of the old one are dropped."""
        if model != self.model:
            self.model, self.entries, self._index = model, [], None

    def _most_redundant(self, own: list[int]) -> int:
        vectors = np.stack([self.entries[i].vector for i in own]).astype(np.float64)
        alike: FloatArray = vectors @ vectors.T - 2 * np.eye(len(own))
        a, b = divmod(int(alike.argmax()), len(own))
        poorer = a if self.entries[own[a]].quality <= self.entries[own[b]].quality else b
        return own[poorer]

    def _searchable(self) -> Any:
        if self._index is None:
            self._index = faiss.IndexFlatIP(self.entries[0].vector.size)
            self._index.add(np.stack([entry.vector for entry in self.entries]))
        return self._index


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """Rows (N, D) scaled to length one; rows that are zero or not finite become zero."""
    rows = np.nan_to_num(np.asarray(vectors, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return np.asarray(scaled, np.float32)


def _weighted_best(pairs: list[tuple[float, float]]) -> float:
    best = sorted(pairs, reverse=True)[:_BEST_COMPARED]
    weights = [max(quality, 1e-3) for _, quality in best]
    total = sum(cosine * w for (cosine, _), w in zip(best, weights, strict=True))
    return total / sum(weights)
