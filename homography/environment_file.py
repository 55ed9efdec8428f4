"""What an environment's TOML file may contain. An unknown key is a mistake, not a comment."""

import difflib
import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

Entry = TypeVar("Entry", bound=msgspec.Struct)

Row = tuple[float, float, float]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Pixels = Annotated[int, msgspec.Meta(ge=16, le=16384)]
# Sixteen characters is what the binary message of a synchronised set has room for.
CameraId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$")]
ZoneId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
EnvironmentId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class PointPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pixel of the picture (x, y) and the floor point (x, y) in metres that it shows."""

    image_px: tuple[float, float]
    ground_m: tuple[float, float]


class LensEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``K`` in rows; ``distortion`` k1, k2, p1, p2, k3 as OpenCV gives them."""

    K: tuple[Row, Row, Row]
    distortion: list[float] = []


class CameraEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A camera gives ``point_pairs`` or ``image_to_ground`` (of undistorted pixels, with its
    standard deviation ``error_m``). ``calibrated_at`` is the picture size (width, height) that
    these and the lens refer to, if it is another one.
    """

    camera_id: CameraId
    width: Pixels
    height: Pixels
    name: str = ""
    location: str = ""
    fps: Positive = 10.0
    recording_folder: str = ""
    calibrated_at: tuple[Pixels, Pixels] | None = None
    point_pairs: list[PointPair] = []
    image_to_ground: tuple[Row, Row, Row] | None = None
    error_m: Annotated[float, msgspec.Meta(ge=0)] = 0.05
    lens: LensEntry | None = None


class ZoneEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A polygon on the floor plan, its corners in order, in metres."""

    zone_id: ZoneId
    polygon_m: list[tuple[float, float]]
    name: str = ""
    zone_type: str = "area"
    capacity: Annotated[int, msgspec.Meta(ge=0)] | None = None


class EnvironmentEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; cameras and zones are decoded one by one, so that one may be wrong."""

    environment_id: EnvironmentId
    object_store_prefix: str
    recording_start: datetime
    map_bounds_m: tuple[float, float, float, float]
    cameras: list[dict[str, Any]]
    name: str = ""
    environment_type: str = ""
    description: str = ""
    timezone: str = "UTC"
    rate_hz: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    zones: list[dict[str, Any]] = []


def decode(raw: Any, kind: type[Entry]) -> tuple[Entry | None, list[str]]:
    """``raw`` as a ``kind``, or None and what is wrong with it in plain words."""
    if not isinstance(raw, dict):
        return None, ["must be a table of keys and values"]
    mistakes = _unknown_keys(raw, kind) + _missing_keys(raw, kind)
    if mistakes:
        return None, mistakes
    try:
        return msgspec.convert(raw, kind), []
    except msgspec.ValidationError as error:
        return None, [_plain(str(error))]


def _unknown_keys(raw: dict[str, Any], kind: type[msgspec.Struct]) -> list[str]:
    known = [field.name for field in msgspec.structs.fields(kind)]
    mistakes = []
    for key in raw:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"
            mistakes.append(f"unknown key '{key}': {remedy}")
    return mistakes


def _missing_keys(raw: dict[str, Any], kind: type[msgspec.Struct]) -> list[str]:
    fields = [field for field in msgspec.structs.fields(kind) if field.required]
    return [f"'{field.name}' is missing: add it" for field in fields if field.name not in raw]


def _plain(message: str) -> str:
    """Put a message of msgspec in our words: from 0, as in ``$.point_pairs[3].image_px``."""
    text, _, path = message.partition(" - at `$")
    where = re.sub(r"\[(\d+)\]", lambda m: f" entry {int(m[1]) + 1} ", path.rstrip("`"))
    where = " ".join(where.replace(".", " ").split())
    if "regex" in text:
        text = (
            "must be letters, digits, - and _, 64 at most; "
            "a camera's 16 at most, an environment's in lower case"
        )
    text = text.replace("Object contains", "there is an").replace("Object missing", "misses the")
    return f"{where}: {text}" if where else text
