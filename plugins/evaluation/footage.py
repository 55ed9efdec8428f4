"""What is evaluated: cameras over a floor, their boxes or videos, and what is true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from homography.ground_plane import GroundPlane
from plugins.frames import Detections
from plugins.media.timeline import SubVideo

Boxes = npt.NDArray[np.float64]
Places = dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of the floor, metres."""

    x0: float
    x1: float
    y0: float
    y1: float

    def holds(self, place_m: tuple[float, float]) -> bool:
        """Whether a place lies in it, border included."""
        return self.x0 <= place_m[0] <= self.x1 and self.y0 <= place_m[1] <= self.y1


@dataclass(frozen=True, slots=True)
class NamedBoxes:
    """People in one picture: ``boxes_xyxy`` (N, 4) pixels, one of ``names`` each. Truths of those
    in ``unscored`` are neither found nor missed: what covers them is left out.
    """

    names: tuple[str, ...]
    boxes_xyxy: Boxes
    unscored: frozenset[str] = frozenset()


NOBODY = NamedBoxes((), np.empty((0, 4)))


@dataclass(frozen=True, slots=True)
class Truth:
    """Who is where. ``views`` has boxes by camera and frame, ``floor`` places in metres by frame;
    each is None where it is not known, and frames that it lacks are not scored. ``unscored``
    people stand on the floor at a frame, but nobody could know.

    With ``lists_everybody`` False there are people whom the truth does not list: what is found
    where nobody is listed is then no mistake.
    """

    views: Mapping[str, Mapping[int, NamedBoxes]] | None
    floor: Mapping[int, Places] | None
    unscored: Mapping[int, frozenset[str]] = field(default_factory=dict)
    lists_everybody: bool = True


@dataclass(frozen=True, slots=True)
class Clip:
    """A sub-video and the file that holds it."""

    sub_video: SubVideo
    path: str


@dataclass(frozen=True, slots=True)
class Footage:
    """One evaluation's input: ``frames`` moments at ``rate_hz`` from ``start_ns`` of media time.

    Either ``detections`` has the boxes of each frame by camera, or ``clips`` the videos. ``area``
    is the part of the floor that is scored, None for all of it.
    """

    name: str
    layout: str
    rate_hz: float
    frames: int
    start_ns: int
    planes: Mapping[str, GroundPlane]
    truth: Truth
    area: Area | None
    detections: Sequence[Mapping[str, Detections]] | None = None
    clips: Mapping[str, tuple[Clip, ...]] = field(default_factory=dict)
