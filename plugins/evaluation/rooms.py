"""Which part of the floor a truth covers: given, beside the data, of a known room, or around it.

Truths of laboratories often leave out people who are there: those who wait beside the scene. What
is found outside of the covered part is no mistake, so it is not scored.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from homography.ground_plane import GroundPlane
from plugins.errors import InvalidInputError
from plugins.evaluation.footage import Area, Places

FILE = "evaluation.toml"
_SAME_PLACE_M = 0.05
# Where the cameras hang (x, y, height) in rooms of public recordings whose truth is known to
# cover a part only. CMC: Ong et al., "A Bayesian Filter for Multi-view 3D Multi-object Tracking
# with Occlusion Handling", 2020.
_KNOWN_ROOMS = {
    "CMC": (
        ((0.21, 3.01, 2.18), (7.17, 3.38, 2.14), (7.59, 0.40, 2.19), (0.26, 1.27, 2.14)),
        Area(2.03, 6.3, 0.0, 3.41),
    ),
}


def parse_area(text: str, name: str = "--area") -> Area:
    """``x0,x1,y0,y1`` in metres; InvalidInputError otherwise."""
    numbers = re.fullmatch(r"\s*([^,]+),([^,]+),([^,]+),([^,]+)\s*", text)
    try:
        x0, x1, y0, y1 = map(float, numbers.groups() if numbers else ())
    except ValueError:
        x0 = x1 = y0 = y1 = 0.0
    if not (x0 < x1 and y0 < y1):
        raise InvalidInputError(
            f"{name} {text!r} is no area: give x0,x1,y0,y1 in metres, such as 2.03,6.3,0,3.41"
        )
    return Area(x0, x1, y0, y1)


def area_of(
    folder: Path, planes: Mapping[str, GroundPlane], floor: Mapping[int, Places]
) -> Area | None:
    """The area that ``evaluation.toml`` in the folder names, else a known room's, else the box
    around all true places; None where there are none.
    """
    return _beside(folder) or _of_known_room(planes) or _around(floor)


def _beside(folder: Path) -> Area | None:
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        area = tomllib.loads(path.read_text(encoding="utf-8"))["area_m"]
        return parse_area(",".join(map(str, area)), str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{path} cannot be used ({error!r}): write area_m = [x0, x1, y0, y1] into it"
        ) from error


def _of_known_room(planes: Mapping[str, GroundPlane]) -> Area | None:
    centres = [plane.camera_centre_m for plane in planes.values()]
    for known, area in _KNOWN_ROOMS.values():
        if centres and all(c is not None and _is_among(c, known) for c in centres):
            return area
    return None


def _is_among(centre: np.ndarray, known: tuple[tuple[float, float, float], ...]) -> bool:
    gaps = np.linalg.norm(np.array(known) - centre, axis=1)
    return bool(gaps.min() <= _SAME_PLACE_M)


def _around(floor: Mapping[int, Places]) -> Area | None:
    places = np.reshape([place for people in floor.values() for place in people.values()], (-1, 2))
    if not len(places):
        return None
    (x0, y0), (x1, y1) = places.min(axis=0), places.max(axis=0)
    return Area(float(x0), float(x1), float(y0), float(y1))
