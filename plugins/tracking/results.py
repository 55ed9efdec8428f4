"""What tracking says about one synchronised set."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from plugins.messages import Track

Verdict = Literal["new", "joined", "kept_apart", "switched", "split", "merged"]


class IdentityDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Why a tracklet got its identity, or two identities became one.

    ``verdict``: ``new`` the tracklet begins a person; ``joined`` it is a person known already;
    ``kept_apart`` it looked like ``other_global_id`` but not enough; ``switched`` and ``split`` it
    leaves ``other_global_id`` for another person, or for none; ``merged`` ``other_global_id`` is
    the same person and ends. ``cosine``, ``metres`` (on the floor) and ``seconds`` (unseen) are
    what was compared, null where not known; ``threshold`` is the cosine that was asked for.
    """

    camera_id: str
    track_id: int
    global_id: str
    verdict: Verdict
    reason: str
    other_global_id: str | None = None
    cosine: float | None = None
    metres: float | None = None
    seconds: float | None = None
    threshold: float | None = None
    log_likelihood: float | None = None


class PersonPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person is: fused over cameras and smoothed, metres on the environment's floor.

    ``uncertainty_m`` is the larger standard deviation. ``camera_ids`` are those that see the person
    in this set; none means that the position is predicted.
    """

    global_id: str
    position_m: tuple[float, float]
    velocity_mps: tuple[float, float]
    uncertainty_m: float
    camera_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetResult:
    """One set: tracks of each camera, people on the floor, and what was newly decided."""

    tracks: dict[str, list[Track]]
    positions: list[PersonPosition]
    decisions: list[IdentityDecision]
