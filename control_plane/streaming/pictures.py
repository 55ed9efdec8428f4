"""Pictures of the newest sets in Redis: decoded, drawn over, cut out. CPU work is off the loop."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from control_plane.errors import PictureNotFoundError
from plugins.media.overlays import Drawing, Trails, draw_overlay, foot_px, mosaic
from plugins.messages import (
    CameraTracks,
    TrackingUpdate,
    frames_stream,
    replay_frames_stream,
    replay_key,
    tracks_stream,
)
from plugins.tracking.crops import crop_quality
from plugins.wire import BinarySet, decode_set

JPEG_QUALITY = 85
TILE_WH = (640, 360)
CROPS_KEPT = 512
Picture = npt.NDArray[np.uint8]


async def newest_set(redis: Redis, task_id: str, frame_index: int | None = None) -> BinarySet:
    """The newest set on show (of a replay while there is one), or one of the newest by its index.

    PictureNotFoundError when it is not held.
    """
    is_replay = frame_index is None and await redis.exists(replay_key(task_id))
    keys = [replay_frames_stream(task_id), frames_stream(task_id)][0 if is_replay else 1 :]
    for key in keys:
        first = "-" if frame_index is None else f"{frame_index + 1}-0"
        last = "+" if frame_index is None else f"{frame_index + 1}-0"
        found: Any = await redis.xrevrange(key, max=last, min=first, count=1)
        if found and b"set" in found[0][1]:
            return decode_set(found[0][1][b"set"])
    which = "no set" if frame_index is None else f"no set {frame_index}"
    raise PictureNotFoundError(
        f"task {task_id} has {which} on show: only the newest are held; to see an older one, seek "
        f"to it with POST /api/v1/tracking/controls/{task_id}/seek"
    )


def jpeg_of(binary_set: BinarySet, camera_id: str) -> bytes:
    """One camera's picture; PictureNotFoundError where it is not in the set."""
    jpeg = binary_set.jpegs.get(camera_id)
    if jpeg is None:
        raise PictureNotFoundError(
            f"set {binary_set.frame_index} has no picture of {camera_id!r}; it has "
            f"{', '.join(binary_set.jpegs) or 'none'}"
        )
    return jpeg


def update_of(binary_set: BinarySet) -> TrackingUpdate:
    """The set's metadata."""
    return msgspec.json.decode(binary_set.metadata_json, type=TrackingUpdate)


async def read_trails(
    redis: Redis, task_id: str, before_index: int, sets: int
) -> Mapping[str, Trails]:
    """Foot points of everybody in the last ``sets`` sets, by camera and global id."""
    found: Any = await redis.xrevrange(
        tracks_stream(task_id), max=f"{before_index + 1}-0", count=sets
    )
    trails: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for _, fields in reversed(found):
        update = msgspec.json.decode(fields[b"json"], type=TrackingUpdate)
        for camera_id, view in update.cameras.items():
            extend_trails(trails.setdefault(camera_id, {}), view)
    return dict(trails)


def extend_trails(trails: dict[str, list[tuple[float, float]]], view: CameraTracks) -> None:
    """Adds where everybody stands in one camera of one set."""
    for track in view.tracks:
        if track.global_id:
            trails.setdefault(track.global_id, []).append(foot_px(track))


def with_overlay(jpeg: bytes, view: CameraTracks | None, drawing: Drawing) -> bytes:
    """A camera's JPEG with everything drawn in."""
    return encoded(drawn_over(jpeg, view, drawing))


def drawn_over(jpeg: bytes, view: CameraTracks | None, drawing: Drawing) -> Picture:
    """As with_overlay, not yet encoded."""
    picture = decoded(jpeg)
    if view is None:
        return picture
    return draw_overlay(picture, view.tracks, (view.frame_width, view.frame_height), drawing)


def mosaic_of(
    binary_set: BinarySet, camera_ids: Sequence[str], drawings: Mapping[str, Drawing]
) -> bytes:
    """All cameras of one set in one picture; a camera that is missing in it stays dark. What is
    drawn in comes by camera id; a camera without stays as it is.
    """
    update = update_of(binary_set)
    pictures: list[Picture | None] = []
    for camera_id in camera_ids:
        jpeg, drawing = binary_set.jpegs.get(camera_id), drawings.get(camera_id)
        if jpeg is None:
            pictures.append(None)
        elif drawing is None:
            pictures.append(decoded(jpeg))
        else:
            pictures.append(drawn_over(jpeg, update.cameras.get(camera_id), drawing))
    return encoded(mosaic(pictures, TILE_WH))


class LiveCrops:
    """The best picture of a person that this process has seen in the live sets; the most recently
    asked for stay.
    """

    def __init__(self) -> None:
        self._best: OrderedDict[tuple[str, str], tuple[int, float, bytes]] = OrderedDict()

    async def read(self, redis: Redis, task_id: str, global_id: str) -> bytes:
        """A JPEG; PictureNotFoundError for somebody in none of the sets that are held."""
        newest_index, quality, jpeg = self._best.get((task_id, global_id), (-1, 0.0, b""))
        found: Any = await redis.xrange(frames_stream(task_id), min=f"{newest_index + 2}-0")
        if found:
            newest_index = int(found[-1][0].partition(b"-")[0]) - 1
            sets = [fields[b"set"] for _, fields in found]
            quality, jpeg = await asyncio.to_thread(best_crop, sets, global_id, quality, jpeg)
        if not jpeg:
            raise PictureNotFoundError(f"there is no picture of {global_id!r} yet: ask again")
        self._best[task_id, global_id] = (newest_index, quality, jpeg)
        self._best.move_to_end((task_id, global_id))
        while len(self._best) > CROPS_KEPT:
            self._best.popitem(last=False)
        return jpeg

    def forget(self, global_id: str) -> None:
        """Drops what is held of a person."""
        for key in [key for key in self._best if key[1] == global_id]:
            del self._best[key]


def best_crop(
    sets: Sequence[bytes], global_id: str, quality: float, jpeg: bytes
) -> tuple[float, bytes]:
    """The most telling crop of a person in binary sets, if better than the one given."""
    best: tuple[BinarySet, str, tuple[float, float, float, float]] | None = None
    for message in sets:
        decoded_set = decode_set(message)
        for camera_id, view in update_of(decoded_set).cameras.items():
            for rated, global_of, box in _rated(view):
                if global_of == global_id and rated > quality and camera_id in decoded_set.jpegs:
                    quality, best = rated, (decoded_set, camera_id, box)
    if best is None:
        return quality, jpeg
    found, camera_id, box = best
    view = update_of(found).cameras[camera_id]
    return quality, cut(found.jpegs[camera_id], box, (view.frame_width, view.frame_height))


def _rated(view: CameraTracks) -> list[tuple[float, str | None, tuple[float, float, float, float]]]:
    if not view.tracks:
        return []
    boxes = np.array([t.bbox_xyxy for t in view.tracks], np.float64)
    scores = np.array([t.confidence for t in view.tracks], np.float64)
    quality = crop_quality(boxes, scores, view.frame_width, view.frame_height)
    tracks = zip(quality.tolist(), view.tracks, strict=True)
    return [(rated, track.global_id, track.bbox_xyxy) for rated, track in tracks]


def cut(jpeg: bytes, bbox_xyxy: tuple[float, float, float, float], size: tuple[int, int]) -> bytes:
    """A box of a picture, whose pixels are those of a frame of ``size``, as a JPEG."""
    picture = decoded(jpeg)
    height, width = picture.shape[:2]
    scale = np.array([width / size[0], height / size[1]] * 2)
    x1, y1, x2, y2 = np.round(np.array(bbox_xyxy) * scale).astype(int).tolist()
    x1, y1 = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return encoded(picture[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)])


def decoded(jpeg: bytes) -> Picture:
    """BGR (height, width, 3); PictureNotFoundError for what is no JPEG."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise PictureNotFoundError("the picture of this set cannot be decoded: ask for another")
    return np.asarray(picture, np.uint8)


def encoded(picture: Picture) -> bytes:
    """A JPEG of a BGR picture."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
