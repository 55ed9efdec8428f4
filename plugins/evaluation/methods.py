"""What a method says of each set, and SpotOn's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from homography.ground_plane import GroundPlane
from plugins.evaluation.footage import NamedBoxes, Places
from plugins.frames import CropRequest, Detections
from plugins.messages import Track
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.results import PersonPosition, SettledSet
from plugins.tracking.tracker import Tracker

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[CropRequest]], Vectors | None]


@dataclass(slots=True)
class Found:
    """Who was found: boxes by camera and frame, places on the floor by frame."""

    views: dict[str, dict[int, NamedBoxes]] = field(default_factory=dict)
    floor: dict[int, Places] = field(default_factory=dict)

    def add_view(
        self, camera_id: str, frame: int, names: Sequence[str], boxes: Sequence[Sequence[float]]
    ) -> None:
        """People of one picture."""
        seen = NamedBoxes(tuple(names), np.reshape(np.array(boxes, float), (-1, 4)))
        self.views.setdefault(camera_id, {})[frame] = seen


@dataclass(slots=True)
class Answers:
    """One method's answers: at once, and after its lag where it has one."""

    online: Found
    lagged: Found | None = None


class Method(Protocol):
    """Gets every set once, in order."""

    def step(
        self, frame: int, time_ns: int, detections: Mapping[str, Detections], embed: Embed
    ) -> None:
        """One set; ``embed`` gives a vector of each wanted crop, None without pictures."""
        ...

    def finish(self) -> Answers:
        """After the last set."""
        ...


class Ours:
    """SpotOn's tracker, online and settled."""

    def __init__(
        self,
        planes: Mapping[str, GroundPlane],
        seed: str,
        embedding_model: str,
        parameters: TrackingParameters | None = None,
    ) -> None:
        self._tracker = Tracker(planes, parameters or TrackingParameters(), seed, embedding_model)
        self._online, self._lagged = Found(), Found()

    def step(
        self, frame: int, time_ns: int, detections: Mapping[str, Detections], embed: Embed
    ) -> None:
        """As the worker does it."""
        requests = self._tracker.associate(frame, time_ns, detections)
        result = self._tracker.identify(embed(requests))
        _add(self._online, frame, result.tracks, result.positions)
        self._settle(result.settled)

    def finish(self) -> Answers:
        """What was still inside the lag is settled now."""
        self._settle(self._tracker.finish())
        return Answers(self._online, self._lagged)

    def _settle(self, sets: Sequence[SettledSet]) -> None:
        for one in sets:
            _add(self._lagged, one.set_index, one.tracks, one.positions)


def _add(
    found: Found,
    frame: int,
    tracks: Mapping[str, Sequence[Track]],
    positions: Sequence[PersonPosition],
) -> None:
    for camera_id, own in tracks.items():
        named = [(t.global_id, t.bbox_xyxy) for t in own if t.global_id is not None]
        found.add_view(camera_id, frame, [n for n, _ in named], [box for _, box in named])
    found.floor[frame] = {p.global_id: p.position_m for p in positions}
