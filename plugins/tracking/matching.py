"""What is known of each tracklet: whom it shows, how surely, and what it looks like."""

from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from plugins.tracking.assignment import iou
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.vector_pool import Vectors

# At an overlap of a third and more, whose box is whose cannot be told from the boxes.
_CROWDED_PER_IOU = 3.0
_SWAP_LIKELY = 0.5
_OVERLAP_S = 0.3
# Of which less than this is left, what was seen says nothing any more.
_FAINT = 0.01


@dataclass(frozen=True, slots=True)
class Look:
    """The embedding (D,), unit length, of a tracklet's crop; ``quality`` 0..1 of that crop."""

    vector: Vectors
    quality: float


@dataclass(slots=True)
class Link:
    """What is known of one tracklet's identity: its ``person`` (a number) or None.

    ``appearance`` holds log-likelihood ratios by person, of which a share ``fade`` is left.
    ``strained_s`` is for how long the tracklet has not fitted its person. ``trust`` 0..1 is how
    surely the tracklet still is the person it was: boxes that overlap may have swapped people.
    ``look`` is the latest embedding that no person has taken over yet.
    """

    person: int | None = None
    appearance: dict[int, float] = field(default_factory=dict)
    strained_s: float = 0.0
    trust: float = 1.0
    look: Look | None = None
    fade: float = 1.0

    def join(self, person: int) -> None:
        """Becomes a person whose place fits, or is not known yet."""
        self.person, self.strained_s = person, 0.0


def doubt(
    links: list[Link], boxes_xyxy: FloatArray, dt_s: float, parameters: TrackingParameters
) -> None:
    """Lowers the trust in tracklets whose boxes (N, 4) overlap, and restores it in time."""
    recovery = 1.0 - float(np.exp(-dt_s / parameters.trust_recovery_s))
    faded = float(np.exp(-dt_s / parameters.appearance_s))
    lost = float(np.exp(-dt_s / _OVERLAP_S))
    for link, share in zip(links, crowded(boxes_xyxy).tolist(), strict=True):
        link.trust += recovery * (1.0 - link.trust)
        link.trust = min(link.trust, 1.0 - share)
        # What a tracklet looked like says ever less about who it is now, and soon nothing about
        # who comes out of an overlap.
        link.fade *= lost if share > _SWAP_LIKELY else faded


def crowded(boxes_xyxy: FloatArray) -> FloatArray:
    """How much of each box (N,) is shared with the one it overlaps most, 0..1."""
    overlap = iou(boxes_xyxy, boxes_xyxy)
    np.fill_diagonal(overlap, 0.0)
    share: FloatArray = np.minimum(_CROWDED_PER_IOU * overlap.max(axis=1, initial=0.0), 1.0)
    return share


def prior(links: list[Link], numbers: list[int], parameters: TrackingParameters) -> FloatArray:
    """Log-likelihood ratio (N, M) that tracklets (M) show people ``numbers`` (N), places apart."""
    column = {number: i for i, number in enumerate(numbers)}
    ratios = np.zeros((len(links), len(numbers)))
    for j, link in enumerate(links):
        if link.appearance and link.fade >= _FAINT:
            ratios[j] = list(map(link.appearance.get, numbers, repeat(0.0)))
            ratios[j] *= link.fade
        if link.person in column:
            ratios[j, column[link.person]] += link.trust * parameters.stay_bonus
    return ratios.T
