"""What the stages of identification share: people, their looks, and which tracklet is whom."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking.camera_plane import CameraPlane, FloatArray
from plugins.tracking.gallery import Gallery
from plugins.tracking.matching import Link, Look
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People, Person
from plugins.tracking.scenery import Scenery
from plugins.tracking.sight import Boxes, measure
from plugins.tracking.standing import Standing, locate
from plugins.tracking.swaps import Story
from plugins.tracking.tracklets import Tracklet, boxes_of

Pair = tuple[int, int]
_DOUBTFUL = -6.0
# What belongs to whoever stands there, whatever they are called.
_OF_BODIES = (
    "mean",
    "cov",
    "time_ns",
    "has_place",
    "seen_ns",
    "existence",
    "is_real",
    "glimpses",
    "is_doubted",
    "back_ns",
    "behind",
    "told",
    "told_at_m",
)


@dataclass(frozen=True)
class View:
    """One camera's picture of this set: its tracklets (N), and where each stands."""

    camera_id: str
    tracklets: list[Tracklet]
    plane: CameraPlane
    parameters: TrackingParameters

    @cached_property
    def boxes_xyxy(self) -> FloatArray:
        """The tracklets' boxes (N, 4)."""
        return boxes_of(self.tracklets)

    @cached_property
    def edges(self) -> Boxes:
        """The same as edges."""
        scores = np.array([t.score for t in self.tracklets], dtype=np.float64)
        return measure(self.boxes_xyxy, scores, self.plane)

    @cached_property
    def standing(self) -> Standing:
        """Where each would stand by its box alone; most sets never ask."""
        return locate(self.boxes_xyxy, self.plane, self.parameters)

    def place_m(self, row: int) -> FloatArray | None:
        """Floor position (2,) of a tracklet, None where the floor is not mapped."""
        return self.standing.state[row, :2] if self.standing.is_valid[row] else None


Looks = dict[tuple[str, int], Look]


@dataclass(slots=True)
class IdentityState:
    """Survives from set to set. ``links`` is by camera and track id.

    ``together`` holds, for people who are close, the log-odds of being two and not one.
    ``biases`` (3, 4) are how each camera's boxes usually err, ``detection`` (2,) how often it has
    one of somebody, see ``sight.py``; ``scenery`` whom things hide from it.
    """

    people: People
    gallery: Gallery
    links: dict[str, dict[int, Link]] = field(default_factory=dict)
    together: dict[Pair, float] = field(default_factory=dict)
    stories: dict[Pair, Story] = field(default_factory=dict)
    biases: dict[str, FloatArray] = field(default_factory=dict)
    detection: dict[str, FloatArray] = field(default_factory=dict)
    scenery: dict[str, Scenery] = field(default_factory=dict)
    time_ns: int = -1

    def link(self, camera_id: str, track_id: int) -> Link:
        """What is known of a tracklet, from its first sight on."""
        by_id = self.links.setdefault(camera_id, {})
        link = by_id.get(track_id)
        if link is None:
            link = by_id[track_id] = Link()
        return link

    def person_of(self, camera_id: str, track_id: int) -> Person | None:
        """Whom a tracklet shows, None while that is undecided."""
        link = self.links.get(camera_id, {}).get(track_id)
        return None if link is None or link.person is None else self.people.persons[link.person]

    def occupied(self, camera_id: str) -> set[int]:
        """Numbers of the people that a camera's living tracklets show."""
        return {n.person for n in self.links.get(camera_id, {}).values() if n.person is not None}

    def linked(self) -> set[int]:
        """Numbers of the people whom any camera has a living tracklet of."""
        return {
            link.person
            for by_id in self.links.values()
            for link in by_id.values()
            if link.person is not None
        }

    def lost(self, unseen_s: float) -> list[Person]:
        """People without any living tracklet, unseen for at least so long, oldest first."""
        linked = self.linked()
        limit_ns = int(unseen_s * NS_PER_S)
        return [
            p
            for n, p in sorted(self.people.persons.items())
            if n not in linked and self.time_ns - p.seen_ns >= limit_ns
        ]

    def seen_by(self, number: int) -> tuple[str, int]:
        """One tracklet (camera, track id) that shows a person; ("", 0) where none does."""
        for camera_id, by_id in self.links.items():
            for track_id, link in by_id.items():
                if link.person == number:
                    return camera_id, track_id
        return "", 0

    def exchange(self, a: Person, b: Person) -> None:
        """Makes two people each other: tracklets, places and what was seen; names and looks stay.

        What either of them was taken for with others has become a mixture and is forgotten.
        """
        names = {a.number: b.number, b.number: a.number}
        for by_id in self.links.values():
            for link in by_id.values():
                if link.person is not None:
                    link.person = names.get(link.person, link.person)
        for name in _OF_BODIES:
            first, second = getattr(a, name), getattr(b, name)
            setattr(a, name, second)
            setattr(b, name, first)
        self.stories = {p: s for p, s in self.stories.items() if not {*p} & {*names}}
        self.together = {
            p: t for p, t in self.together.items() if {*p} == {*names} or not {*p} & {*names}
        }

    def can_tell_apart(self, pair: Pair, parameters: TrackingParameters) -> bool:
        """Whether both people's looks are known and differ."""
        first, second = self.gallery.mean(pair[0]), self.gallery.mean(pair[1])
        if first is None or second is None:
            return False
        return float(first @ second) < parameters.same_cosine

    def doubtful(self) -> set[int]:
        """Numbers of people who may have been exchanged with another."""
        doubted = {n for n, p in self.people.persons.items() if p.is_doubted}
        return doubted | {
            n for s in self.stories.values() if s.log_odds > _DOUBTFUL for n in s.pair
        }

    def doubtful_tracklets(self) -> set[tuple[str, int]]:
        """Camera and track id of all that show them."""
        people = self.doubtful()
        return {
            (camera_id, track_id)
            for camera_id, by_id in self.links.items()
            for track_id, link in by_id.items()
            if link.person in people
        }

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
                link.appearance.pop(dropped, None)
        self.gallery.merge(kept, dropped)
        self.stories = {p: s for p, s in self.stories.items() if dropped not in p}
        self.together = {p: told for p, told in self.together.items() if dropped not in p}
        del self.people.persons[dropped]
