"""One identity in pictures: crops at well-spread moments, out of the recordings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError, SpotOnError
from plugins.frames import NS_PER_S, Frame
from plugins.gst.cpu_graph import CpuGraph
from plugins.media.cache import ClipCache
from plugins.media.timeline import LocalClip, Recording
from plugins.media_time import to_rfc3339

Picture = npt.NDArray[np.uint8]
TILE_W, TILE_H, CAPTION_H, GAP = 140, 260, 34, 6
COLUMNS = 8
MARGIN = 0.15
FRAME_NS = NS_PER_S // 10
PATIENCE_S = 20.0
INK, PAPER = (40, 40, 40), 255
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A person's box in one camera's picture at a moment of media time."""

    camera_id: str
    media_time_ns: int
    bbox_xyxy: tuple[float, float, float, float]
    confidence: float


def well_spread(glimpses: Sequence[Glimpse], count: int) -> list[Glimpse]:
    """At most ``count``: the time from first to last in equal parts, of each the glimpse that
    shows most in the camera that has been shown least so far.
    """
    if not glimpses:
        return []
    first = min(g.media_time_ns for g in glimpses)
    span_ns = max(g.media_time_ns for g in glimpses) - first + 1
    best: dict[int, dict[str, Glimpse]] = {}
    for glimpse in glimpses:
        part = best.setdefault((glimpse.media_time_ns - first) * count // span_ns, {})
        other = part.get(glimpse.camera_id)
        if other is None or _shown(glimpse) > _shown(other):
            part[glimpse.camera_id] = glimpse
    chosen: list[Glimpse] = []
    for _, part in sorted(best.items()):
        so_far = Counter(glimpse.camera_id for glimpse in chosen)
        chosen.append(min(part.values(), key=lambda g: (so_far[g.camera_id], -_shown(g))))
    return chosen


def draw_strip(
    glimpses: Sequence[Glimpse], recordings: Mapping[str, Recording], cache: ClipCache
) -> tuple[Picture, list[str]]:
    """The glimpses' crops side by side, camera and time below each, and what could not be shown."""
    tiles, problems = [], []
    for glimpse in glimpses:
        try:
            frame = _frame_at(glimpse, recordings, cache)
        except SpotOnError as error:
            problems.append(str(error))
            continue
        tiles.append(_tile(glimpse, frame))
    if not tiles:
        raise InvalidInputError(
            f"no picture of this person can be shown: {problems[0] if problems else 'no boxes'}"
        )
    return _sheet(tiles), problems


def write_png(picture: Picture, path: Path) -> None:
    """Writes the sheet; InvalidInputError where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be written ({error.strerror}): choose another --out"
        ) from error


def _shown(glimpse: Glimpse) -> float:
    x0, y0, x1, y1 = glimpse.bbox_xyxy
    return glimpse.confidence * (x1 - x0) * (y1 - y0)


def _frame_at(glimpse: Glimpse, recordings: Mapping[str, Recording], cache: ClipCache) -> Frame:
    recording = recordings.get(glimpse.camera_id)
    at_ns = glimpse.media_time_ns
    for sub_video in recording.sub_videos if recording else ():
        if sub_video.start_ns <= at_ns + FRAME_NS // 2 and at_ns < sub_video.end_ns:
            path = cache.fetch(sub_video.key)
            clips = {glimpse.camera_id: iter([LocalClip(sub_video, path)])}
            end_ns = at_ns + FRAME_NS
            graph = CpuGraph(clips, at_ns, end_ns, NS_PER_S / FRAME_NS, patience_s=PATIENCE_S)
            with closing(graph):
                for frame_set in graph.sets():
                    if glimpse.camera_id in frame_set.frames:
                        return frame_set.frames[glimpse.camera_id]
    raise InvalidInputError(
        f"{glimpse.camera_id} has no picture at {to_rfc3339(at_ns)}: is its recording still there?"
    )


def _tile(glimpse: Glimpse, frame: Frame) -> Picture:
    bgr = cv2.cvtColor(frame.i420, cv2.COLOR_YUV2BGR_I420)
    box = np.array(glimpse.bbox_xyxy)
    margin = MARGIN * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)
    limits = (frame.width, frame.height, frame.width, frame.height)
    x0, y0, x1, y1 = np.clip(box + margin, 0, limits).astype(int).tolist()
    crop = bgr[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)]
    scale = min(TILE_W / crop.shape[1], TILE_H / crop.shape[0])
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    tile = np.full((TILE_H + CAPTION_H, TILE_W, 3), PAPER, np.uint8)
    left, top = (TILE_W - size[0]) // 2, TILE_H - size[1]
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(crop, size)
    time = to_rfc3339(glimpse.media_time_ns)[11:21]
    for row, text in enumerate((glimpse.camera_id[:16], time)):
        place = (2, TILE_H + 14 + 15 * row)
        cv2.putText(tile, text, place, FONT, 0.42, INK, 1, cv2.LINE_AA)
    return tile


def _sheet(tiles: Sequence[Picture]) -> Picture:
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = TILE_H + CAPTION_H + GAP, TILE_W + GAP
    sheet = np.full((rows * height + GAP, columns * width + GAP, 3), PAPER, np.uint8)
    for k, tile in enumerate(tiles):
        y, x = GAP + k // columns * height, GAP + k % columns * width
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet
