"""What one writes by hand, for comparison: per-camera tracks, joined in the simplest two ways.

Both take the tracks of each camera as SpotOn makes them and keep a track's identity for as long as
it lives. A person's place is the mean of their foot points over the cameras.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from homography.ground_plane import GroundPlane
from plugins.evaluation.methods import Answers, Embed, Found, Vectors
from plugins.frames import NS_PER_S, CropRequest, Detections
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.tracklets import CameraTracklets, Tracklet, boxes_of

SAME_COSINE = 0.8
SAME_PLACE_M = 1.0
REMEMBERED_S = 3.0
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A track without a name yet: where it stands (2,), NaN where unknown, and how it looks (D,),
    None without pictures; ``taken`` are the names of this picture's other tracks.
    """

    foot_m: Floats
    vector: Vectors | None
    taken: frozenset[int]
    time_ns: int


class Naming(Protocol):
    """Says who a newcomer is."""

    def name(self, newcomer: Newcomer) -> int | None:
        """A known person, None for somebody new."""
        ...

    def remember(self, name: int, newcomer: Newcomer) -> None:
        """Is told who each track of a picture is; ``vector`` is None but for newcomers."""
        ...


class PerCameraTracks:
    """Tracks of each camera; a new one gets a person's name by ``naming``."""

    def __init__(self, planes: Mapping[str, GroundPlane], naming: Naming) -> None:
        self._planes, self._naming = dict(sorted(planes.items())), naming
        self._tracks = {camera_id: CameraTracklets() for camera_id in self._planes}
        self._parameters = TrackingParameters()
        self._names: dict[tuple[str, int], int] = {}
        self._people = 0
        self._found = Found()

    def step(
        self, frame: int, time_ns: int, detections: Mapping[str, Detections], embed: Embed
    ) -> None:
        """Continues tracks, names new ones, and places everybody."""
        spots: dict[int, list[Floats]] = {}
        for camera_id, boxes in sorted(detections.items()):
            self._tracks[camera_id].step(boxes, time_ns, self._parameters)
            own = self._tracks[camera_id].observed(time_ns)
            feet = _feet(own, self._planes[camera_id])
            names = self._named(camera_id, own, feet, time_ns, embed)
            for name, foot in zip(names, feet, strict=True):
                spots.setdefault(name, []).append(foot)
            self._found.add_view(camera_id, frame, list(map(str, names)), boxes_of(own).tolist())
        self._found.floor[frame] = _places(spots)

    def finish(self) -> Answers:
        """There is no lag."""
        return Answers(self._found)

    def _named(
        self, camera_id: str, own: list[Tracklet], feet: Floats, time_ns: int, embed: Embed
    ) -> list[int]:
        keys = [(camera_id, track.track_id) for track in own]
        looks = self._looks(
            camera_id, [t for t, k in zip(own, keys, strict=True) if k not in self._names], embed
        )
        for track, key, foot in zip(own, keys, feet, strict=True):
            taken = frozenset(self._names[k] for k in keys if k in self._names)
            newcomer = Newcomer(foot, looks.get(track.track_id), taken, time_ns)
            if key not in self._names:
                self._names[key] = self._naming.name(newcomer) or self._new()
            self._naming.remember(self._names[key], newcomer)
        return [self._names[key] for key in keys]

    def _looks(self, camera_id: str, new: list[Tracklet], embed: Embed) -> dict[int, Vectors]:
        boxes = boxes_of(new)
        wanted = [
            CropRequest(camera_id, track.track_id, (x0, y0, x1, y1))
            for track, (x0, y0, x1, y1) in zip(new, boxes.tolist(), strict=True)
        ]
        vectors = embed(wanted) if wanted else None
        return {} if vectors is None else {t.track_id: v for t, v in zip(new, vectors, strict=True)}

    def _new(self) -> int:
        self._people += 1
        return self._people


class ByAppearance:
    """Whoever looks most alike from a cosine of 0.8 on; one vector a person. The first SpotOn's
    way.
    """

    def __init__(self) -> None:
        self._gallery: dict[int, Vectors] = {}

    def name(self, newcomer: Newcomer) -> int | None:
        """By the cosine alone."""
        if newcomer.vector is None or not self._gallery:
            return None
        cosines = np.stack(list(self._gallery.values())) @ newcomer.vector
        best = int(cosines.argmax())
        return list(self._gallery)[best] if cosines[best] >= SAME_COSINE else None

    def remember(self, name: int, newcomer: Newcomer) -> None:
        """Keeps the first look."""
        if newcomer.vector is not None:
            self._gallery.setdefault(name, newcomer.vector)


class ByNearest:
    """Whoever was last seen nearest on the floor, within a metre and three seconds, and has no
    track in this camera.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, Floats]] = {}

    def name(self, newcomer: Newcomer) -> int | None:
        """By the distance alone."""
        gaps = {
            name: float(np.linalg.norm(place - newcomer.foot_m))
            for name, (seen_ns, place) in self._last.items()
            if name not in newcomer.taken and newcomer.time_ns - seen_ns <= REMEMBERED_S * NS_PER_S
        }
        near = {name: gap for name, gap in gaps.items() if gap <= SAME_PLACE_M}
        return min(near, key=near.__getitem__) if near else None

    def remember(self, name: int, newcomer: Newcomer) -> None:
        """Keeps the last place."""
        if np.isfinite(newcomer.foot_m).all():
            self._last[name] = (newcomer.time_ns, newcomer.foot_m)


def _feet(tracks: list[Tracklet], plane: GroundPlane) -> Floats:
    """Where boxes (N) stand, (N, 2) metres; NaN where no floor is seen."""
    boxes = boxes_of(tracks)
    foot_px = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]])
    return plane.to_ground(foot_px).position_m


def _places(spots: Mapping[int, list[Floats]]) -> dict[str, tuple[float, float]]:
    places = {}
    for name, feet in spots.items():
        usable = [foot for foot in feet if np.isfinite(foot).all()]
        if usable:
            x, y = np.mean(usable, axis=0).tolist()
            places[str(name)] = (x, y)
    return places
