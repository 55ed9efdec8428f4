"""Boxes, names and trails drawn into a picture, from a set's metadata; pure."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from plugins.messages import Track

Picture = npt.NDArray[np.uint8]
FNV_START, FNV_PRIME = 2_166_136_261, 16_777_619
UNKNOWN_BGR = (158, 158, 158)
INK_BGR = (13, 15, 11)
FONT = cv2.FONT_HERSHEY_SIMPLEX


class OverlayStyle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is drawn, and how. ``line_px`` and the text are for a picture 1280 wide and grow with
    it; ``trail_sets`` is how many past sets the trail on the floor shows.
    """

    boxes: bool = True
    ids: bool = True
    confidence: bool = False
    trail: bool = True
    trail_sets: Annotated[int, msgspec.Meta(ge=1, le=300)] = 30
    line_px: Annotated[int, msgspec.Meta(ge=1, le=12)] = 2
    text_scale: Annotated[float, msgspec.Meta(ge=0.3, le=3)] = 0.6
    only_focused: bool = False
    colour_by: Literal["person", "camera"] = "person"


Trails = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How one camera's picture is drawn over: ``trails`` are foot points by global id, oldest
    first, in the pixels of the boxes; ``focus_id`` is the person who stands out.
    """

    style: OverlayStyle
    trails: Trails = field(default_factory=dict)
    focus_id: str | None = None
    camera_id: str = ""


def draw_overlay(
    picture: Picture, tracks: Sequence[Track], size: tuple[int, int], drawing: Drawing
) -> Picture:
    """A copy of a BGR picture with ``tracks`` drawn into it, whose boxes are pixels of a frame of
    ``size`` (width, height).
    """
    style = drawing.style
    drawn = picture.copy()
    scale = np.array([drawn.shape[1] / max(size[0], 1), drawn.shape[0] / max(size[1], 1)])
    width = max(round(style.line_px * drawn.shape[1] / 1280), 1)
    for track in tracks:
        is_focused = drawing.focus_id is not None and track.global_id == drawing.focus_id
        if style.only_focused and not is_focused:
            continue
        by_person = style.colour_by == "person"
        colour = colour_of(track.global_id if by_person else drawing.camera_id)
        thickness = width * 2 if is_focused else width
        if style.trail and track.global_id:
            points = drawing.trails.get(track.global_id, ())
            _draw_trail(drawn, points, scale, colour, width)
        x1, y1 = (int(v) for v in np.array(track.bbox_xyxy[:2]) * scale)
        if style.boxes:
            x2, y2 = (int(v) for v in np.array(track.bbox_xyxy[2:]) * scale)
            cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)
        _draw_text(drawn, _label(track, style), (x1, y1), style.text_scale, colour)
    return drawn


def foot_px(track: Track) -> tuple[float, float]:
    """Where a person stands in the picture: the middle of the box's lower edge."""
    x1, _, x2, y2 = track.bbox_xyxy
    return (x1 + x2) / 2, y2


def colour_of(name: str | None) -> tuple[int, int, int]:
    """BGR, from the name alone."""
    if not name:
        return UNKNOWN_BGR
    value = FNV_START
    for character in name:
        value = ((value ^ ord(character)) * FNV_PRIME) & 0xFFFFFFFF
    hue = int((value % 997) * 137.508 + 0.5) % 360
    saturation, lightness = (78, 62, 90)[value % 3], (58, 66, 73)[(value >> 8) % 3]
    red, green, blue = colorsys.hls_to_rgb(hue / 360, lightness / 100, saturation / 100)
    return round(blue * 255), round(green * 255), round(red * 255)


def mosaic(pictures: Sequence[Picture | None], tile_wh: tuple[int, int]) -> Picture:
    """Pictures side by side in rows, each in a tile with its proportions kept; None stays dark."""
    columns = int(np.ceil(np.sqrt(len(pictures)))) or 1
    rows = -(-len(pictures) // columns)
    width, height = tile_wh
    whole = np.zeros((rows * height, columns * width, 3), np.uint8)
    for k, picture in enumerate(pictures):
        if picture is not None:
            top, left = k // columns * height, k % columns * width
            _fit(whole[top : top + height, left : left + width], picture)
    return whole


def _fit(tile: Picture, picture: Picture) -> None:
    scale = min(tile.shape[1] / picture.shape[1], tile.shape[0] / picture.shape[0])
    size = max(int(picture.shape[1] * scale), 1), max(int(picture.shape[0] * scale), 1)
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    top, left = (tile.shape[0] - size[1]) // 2, (tile.shape[1] - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = resized


def _label(track: Track, style: OverlayStyle) -> str:
    name = (track.global_id or "new")[:4] if style.ids else ""
    return f"{name} {track.confidence:.2f}".strip() if style.confidence else name


def _draw_text(
    picture: Picture, text: str, corner: tuple[int, int], text_scale: float, colour: Any
) -> None:
    if not text:
        return
    size = text_scale * picture.shape[1] / 1280
    (width, height), base = cv2.getTextSize(text, FONT, size, 1)
    x, bottom = corner[0], max(corner[1], height + base)
    cv2.rectangle(picture, (x, bottom - height - base), (x + width, bottom), colour, -1)
    cv2.putText(picture, text, (x, bottom - base // 2), FONT, size, INK_BGR, 1, cv2.LINE_AA)


def _draw_trail(
    picture: Picture,
    points: Sequence[tuple[float, float]],
    scale: npt.NDArray[np.float64],
    colour: Any,
    width: int,
) -> None:
    if len(points) > 1:
        line = np.round(np.array(points) * scale).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(picture, [line], isClosed=False, color=colour, thickness=width)
