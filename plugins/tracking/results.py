"""What tracking says about one synchronised set."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from plugins.messages import Track

Verdict = Literal["new", "joined", "kept_apart", "switched", "split", "merged", "corrected"]


class IdentityDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Why a tracklet got its identity, or two identities became one.

    ``verdict``: ``new`` the tracklet begins a person; ``joined`` it is a person known already;
    ``kept_apart`` it looked like ``other_global_id`` but not enough; ``switched`` and ``split`` it
    leaves ``other_global_id`` for another person, or for none; ``merged`` ``other_global_id`` is
    the same person and ends; ``corrected`` what was ``other_global_id`` for the last ``seconds``
    was ``global_id``: settled sets say so. ``cosine``, ``metres`` (on the floor) and ``seconds``
    (unseen) are what was compared, null where not known; ``threshold`` is the cosine that was
    asked for.
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
class SettledSet:
    """A set that has left the fixed lag: its identities are corrected and final."""

    set_index: int
    media_time_ns: int
    tracks: dict[str, list[Track]]
    positions: list[PersonPosition]


@dataclass(frozen=True, slots=True)
class Correction:
    """Who was taken for ``old_id`` in the sets from ``since_index`` on, this one left out, is
    ``new_id`` there, and the other way round: the two were exchanged.
    """

    old_id: str
    new_id: str
    since_index: int


@dataclass(frozen=True, slots=True)
class SetResult:
    """One set: tracks of each camera, people on the floor, and what was newly decided.

    ``settled`` are earlier sets, in order, each once, whose identities no longer change;
    ``corrections`` turn the results that were given for earlier sets into the settled ones.
    """

    tracks: dict[str, list[Track]]
    positions: list[PersonPosition]
    decisions: list[IdentityDecision]
    settled: tuple[SettledSet, ...] = ()
    corrections: tuple[Correction, ...] = ()
