"""Looks as bits: who of very many may be alike is found without comparing the looks themselves.

Bit k says on which side of a random plane a look lies; the share of bits in which two looks differ
is their angle over pi (Charikar 2002, "Similarity estimation techniques from rounding algorithms").
The planes pass through the average look, for all people look alike a little.
"""

import faiss
import numpy as np
import numpy.typing as npt

from plugins.tracking.vector_pool import Vectors

Bits = npt.NDArray[np.uint8]
_BITS = 1024
_SEED = 20150


class Sketcher:
    """Makes sketches (B,) of looks (D,) of one model; ``centre`` (D,) is the average look."""

    def __init__(self, centre: Vectors) -> None:
        self.centre = centre
        rng = np.random.default_rng(_SEED)
        self._planes = rng.standard_normal((len(centre), _BITS), np.float32)

    def sketch(self, looks: Vectors) -> Bits:
        """(N, 128) bytes for looks (N, D)."""
        # One look at a time: the sign of a sum may depend on how a library splits larger ones.
        sides = np.stack([(look - self.centre) @ self._planes for look in looks]) > 0
        return np.packbits(sides, axis=1)


def fewest_differences(wanted: Bits, sketches: Bits, count: int) -> npt.NDArray[np.int64]:
    """Rows of the ``count`` of ``sketches`` (N, 128) that differ least from ``wanted`` (128,)."""
    count = min(count, len(sketches))
    _, rows = faiss.knn_hamming(wanted[None], sketches, count, variant="mc")
    return np.asarray(rows[0], np.int64)
