"""What an environment is once it is read: cameras, zones and a floor plan in metres."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from homography.calibration import Fit
from homography.ground_plane import GroundPlane

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """One fixed camera: pictures of ``width`` x ``height`` pixels, nominal ``fps``.

    Its sub-videos lie at ``{object_store_prefix}/{recording_folder}/``. ``fit`` is None where the
    file gives the matrix itself. ``warnings`` are the doubts about its calibration.
    """

    camera_id: str
    name: str
    location: str
    width: int
    height: int
    fps: float
    recording_folder: str
    ground_plane: GroundPlane
    fit: Fit | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """A piece of the floor: ``polygon_m`` (N, 2), N >= 3, in order, not closed.

    ``capacity`` is the number of people above which an alert is due, None for never.
    """

    zone_id: str
    name: str
    zone_type: str
    polygon_m: npt.NDArray[np.float64]
    capacity: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """A place with cameras and one floor plan in metres.

    ``recording_start`` (aware, UTC) is the media time of the first frame of the first sub-video.
    ``rate_hz`` is how many synchronised sets a second are made. ``map_bounds_m`` is x0, y0, x1, y1.
    """

    environment_id: str
    name: str
    environment_type: str
    description: str
    timezone: str
    recording_start: datetime
    rate_hz: float
    object_store_prefix: str
    map_bounds_m: tuple[float, float, float, float]
    cameras: tuple[Camera, ...]
    zones: tuple[Zone, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about an environment's file. An error keeps what it is about from being
    used: the camera or zone that its message starts with, otherwise the whole environment.
    """

    level: Level
    camera_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in an environment's file, with the remedy."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every environment that can be used, by id, and what kept others, or parts, from it."""

    environments: Mapping[str, Environment]
    problems: tuple[Problem, ...]
