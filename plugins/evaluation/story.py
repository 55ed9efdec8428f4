"""One identity's life in words, in order of media time."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

LOST_AFTER = timedelta(seconds=2)
# What a verdict says of the person whose story it is: as the one decided for, or as the other.
THEIRS = {
    "new": "begins as {track}",
    "joined": "{track} is this person",
    "kept_apart": "{track} is this person and not {other}, who was considered",
    "switched": "{track}, {other} until now, is this person",
    "split": "{track} is this person no longer",
    "merged": "{other} turns out to be this person too, seen as {track}",
    "corrected": "what was {other} lately was this person, says {track}",
}
OTHERS = {
    "kept_apart": "{track} is {other} and not this person, who was considered",
    "switched": "{track} leaves this person for {other}",
    "merged": "ends here: the same person as {other}, seen as {track}",
    "corrected": "what was this person lately was {other}, says {track}",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """A row of ``identity_decisions``; figures are None where they were not known."""

    media_time: datetime
    camera_id: str
    track_id: int
    verdict: str
    global_id: str
    other_global_id: str | None
    cosine: float | None
    metres: float | None
    seconds: float | None
    threshold: float | None
    log_likelihood: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One track of the person in one camera, from its first box to its last."""

    camera_id: str
    track_id: int
    first: datetime
    last: datetime
    boxes: int


class Line(msgspec.Struct, frozen=True):
    """What happened at a moment. ``kind`` is a decision's verdict, or seen, lost or back."""

    media_time: datetime
    kind: str
    camera_id: str | None
    text: str


def tell(
    own: AbstractSet[str], decisions: Sequence[Decision], sightings: Sequence[Sighting]
) -> list[Line]:
    """The story of a person who goes by the ids ``own``: theirs and those merged into it."""
    lines = [
        *(_decided(own, decision) for decision in decisions),
        *(_seen(sighting) for sighting in sightings),
        *_absences(sightings),
    ]
    return sorted(lines, key=lambda line: line.media_time)


def short(global_id: str | None) -> str:
    """The first part of an id, enough to tell people of one task apart."""
    return "nobody" if global_id is None else global_id[:8]


def _decided(own: AbstractSet[str], decision: Decision) -> Line:
    words = " ".join([_verdict(own, decision), *_because(decision)])
    return Line(decision.media_time, decision.verdict, decision.camera_id, words)


def _verdict(own: AbstractSet[str], decision: Decision) -> str:
    track = f"track {decision.track_id} of {decision.camera_id}"
    is_own = decision.global_id in own
    other = short(decision.other_global_id if is_own else decision.global_id)
    words = (THEIRS if is_own else OTHERS).get(decision.verdict, decision.verdict + ": {track}")
    return words.format(track=track, other=other)


def _because(decision: Decision) -> Iterator[str]:
    """The reason, and what was weighed."""
    asked = "" if decision.threshold is None else f" (asked for: {decision.threshold:.2f})"
    weighed = [
        text
        for value, text in (
            (decision.cosine, f"cosine {decision.cosine or 0:.2f}{asked}"),
            (decision.metres, f"{decision.metres or 0:.2f} m apart"),
            (decision.seconds, f"{decision.seconds or 0:.1f} s"),
            (decision.log_likelihood, f"log-likelihood {decision.log_likelihood or 0:.1f}"),
        )
        if value is not None
    ]
    parts = [part for part in (decision.reason, ", ".join(weighed)) if part]
    if parts:
        yield f"({'; '.join(parts)})"


def _seen(sighting: Sighting) -> Line:
    seconds = (sighting.last - sighting.first).total_seconds()
    text = (
        f"{sighting.camera_id} sees this person as track {sighting.track_id} for {seconds:.1f} s "
        f"({sighting.boxes} boxes)"
    )
    return Line(sighting.first, "seen", sighting.camera_id, text)


def _absences(sightings: Sequence[Sighting]) -> Iterator[Line]:
    """Times in which no camera sees the person."""
    until: Sighting | None = None
    for sighting in sorted(sightings, key=lambda one: one.first):
        if until is not None and sighting.first - until.last > LOST_AFTER:
            away_s = (sighting.first - until.last).total_seconds()
            yield Line(until.last, "lost", until.camera_id, f"last seen in {until.camera_id}")
            yield Line(
                sighting.first,
                "back",
                sighting.camera_id,
                f"back in {sighting.camera_id} after {away_s:.1f} s in no camera",
            )
        if until is None or sighting.last > until.last:
            until = sighting
    if until is not None:
        yield Line(until.last, "lost", until.camera_id, f"last seen in {until.camera_id}")
