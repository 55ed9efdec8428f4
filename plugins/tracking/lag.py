"""The fixed lag: sets wait a moment, so that what is found out about them soon can still count."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from plugins.messages import Track
from plugins.tracking.results import Correction, PersonPosition, SettledSet


@dataclass(slots=True)
class Lag:
    """The latest sets, oldest first, whose identities may still be corrected."""

    held: list[SettledSet] = field(default_factory=list)

    def release(self, until_ns: int) -> tuple[SettledSet, ...]:
        """Gives away the sets up to and including a media time; they are final."""
        count = sum(one.media_time_ns <= until_ns for one in self.held)
        settled, self.held = self.held[:count], self.held[count:]
        return tuple(settled)

    def exchange(self, old_id: str, new_id: str, since_ns: int) -> Correction | None:
        """Exchanges two people in the held sets from ``since_ns`` on; None where none is held."""
        self.rename({old_id: new_id, new_id: old_id}, since_ns)
        since = [one.set_index for one in self.held if one.media_time_ns >= since_ns]
        return Correction(old_id, new_id, since[0]) if since else None

    def rename(self, names: Mapping[str, str], since_ns: int) -> None:
        """Gives people the global ids ``names`` says, in the held sets from ``since_ns`` on."""
        self.held = [
            _renamed(one, names) if one.media_time_ns >= since_ns else one for one in self.held
        ]


def _renamed(one: SettledSet, names: Mapping[str, str]) -> SettledSet:
    return SettledSet(
        one.set_index,
        one.media_time_ns,
        {c: [_renamed_track(t, names) for t in tracks] for c, tracks in one.tracks.items()},
        _renamed_positions(one.positions, names),
    )


def _renamed_track(track: Track, names: Mapping[str, str]) -> Track:
    name = track.global_id and names.get(track.global_id)
    return msgspec.structs.replace(track, global_id=name) if name else track


def _renamed_positions(
    positions: list[PersonPosition], names: Mapping[str, str]
) -> list[PersonPosition]:
    """Of two that become one person, the surer place stays."""
    best: dict[str, PersonPosition] = {}
    for position in positions:
        name = names.get(position.global_id, position.global_id)
        other = best.get(name)
        if other is None or position.uncertainty_m < other.uncertainty_m:
            best[name] = msgspec.structs.replace(position, global_id=name)
    return list(best.values())
