"""What the stages of identification share: people, their looks, and which tracklet is whom."""

from dataclasses import dataclass, field

from plugins.frames import NS_PER_S
from plugins.tracking.camera_plane import CameraPlane, FloatArray
from plugins.tracking.gallery import Gallery
from plugins.tracking.matching import Link, Look
from plugins.tracking.people import People, Person
from plugins.tracking.standing import Standing
from plugins.tracking.tracklets import Tracklet

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class View:
    """One camera's picture of this set: its confirmed tracklets (N), and where each stands."""

    camera_id: str
    tracklets: list[Tracklet]
    standing: Standing
    plane: CameraPlane

    def place_m(self, row: int) -> FloatArray | None:
        """Floor position (2,) of a tracklet, None where the floor is not mapped."""
        return self.standing.state[row, :2] if self.standing.is_valid[row] else None


Looks = dict[tuple[str, int], Look]


@dataclass(slots=True)
class IdentityState:
    """Survives from set to set. ``links`` is by camera and track id.

    ``apart`` holds pairs of people seen beside each other in one picture: never the same.
    ``together_s`` tells for how long other pairs have been at the same place.
    """

    people: People
    gallery: Gallery
    links: dict[str, dict[int, Link]] = field(default_factory=dict)
    apart: set[Pair] = field(default_factory=set)
    together_s: dict[Pair, float] = field(default_factory=dict)
    time_ns: int = -1

    def link(self, camera_id: str, track_id: int) -> Link:
        """What is known of a tracklet, from its first sight on."""
        return self.links.setdefault(camera_id, {}).setdefault(track_id, Link())

    def person_of(self, camera_id: str, track_id: int) -> Person | None:
        """Whom a tracklet shows, None while that is undecided."""
        link = self.links.get(camera_id, {}).get(track_id)
        return None if link is None or link.person is None else self.people.persons[link.person]

    def occupied(self, camera_id: str) -> set[int]:
        """Numbers of the people that a camera's living tracklets show."""
        return {n.person for n in self.links.get(camera_id, {}).values() if n.person is not None}

    def linked(self) -> dict[int, set[str]]:
        """By person, the cameras that have a living tracklet of them."""
        cameras: dict[int, set[str]] = {}
        for camera_id, by_id in self.links.items():
            for link in by_id.values():
                if link.person is not None:
                    cameras.setdefault(link.person, set()).add(camera_id)
        return cameras

    def lost(self, unseen_s: float) -> list[Person]:
        """People without any living tracklet, unseen for at least so long, oldest first."""
        linked = self.linked()
        limit_ns = int(unseen_s * NS_PER_S)
        return [
            p
            for n, p in sorted(self.people.persons.items())
            if n not in linked and self.time_ns - p.seen_ns >= limit_ns
        ]

    def drop_ended(self, living: dict[str, set[int]]) -> None:
        """Forgets the links of tracklets that are no longer followed."""
        self.links = {
            camera_id: {t: link for t, link in by_id.items() if t in living.get(camera_id, set())}
            for camera_id, by_id in self.links.items()
        }

    def rename(self, kept: int, dropped: int) -> None:
        """Makes all of one person's tracklets, embeddings and pairs another's; ends the first."""
        for by_id in self.links.values():
            for link in by_id.values():
                if link.person == dropped:
                    link.person = kept
                if dropped in link.evidence:
                    link.evidence.setdefault(kept, link.evidence.pop(dropped))
                link.appearance.pop(dropped, None)
        self.gallery.merge(kept, dropped)
        self.apart = {
            (min(a, b), max(a, b))
            for a, b in (tuple(kept if n == dropped else n for n in pair) for pair in self.apart)
            if a != b
        }
        self.together_s = {p: s for p, s in self.together_s.items() if dropped not in p}
        del self.people.persons[dropped]
