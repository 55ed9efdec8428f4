"""Footage with what was tracked drawn in: boxes, ids, trails, and the floor plan as an inset."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from control_plane.analytics.spans import Range
from control_plane.catalogue import known_environment
from control_plane.embedded import data_folder
from control_plane.exports.orders import VideoOrder
from control_plane.exports.process import Made, Report
from control_plane.settings import Settings
from control_plane.store import Store
from homography.environment import Environment, load_environments
from plugins.errors import InvalidTimeRangeError
from plugins.frames import NS_PER_S, Frame, FrameSet
from plugins.gst.encoder import VideoWriter
from plugins.media.cache import ClipCache
from plugins.media.object_store import open_object_store
from plugins.media.overlays import Drawing, colour_of, draw_overlay, foot_px, mosaic
from plugins.media_time import from_datetime, to_datetime, to_rfc3339
from plugins.messages import TaskRequest, Track
from plugins.plan import Plan, make_plan
from plugins.plan_graph import plan_graph
from plugins.stored_tracks import StoredTracks

Picture = npt.NDArray[np.uint8]
MAX_VIDEO_S = 1800
TILE_WH = (640, 360)
INSET_SHARE = 0.28
MAP_TRAIL_SETS = 40


@dataclass(slots=True)
class Trails:
    """Where everybody stood in the last sets, per camera in pixels and on the map in metres."""

    sets: int
    by_camera: dict[str, dict[str, deque[tuple[float, float]]]] = field(default_factory=dict)
    on_map: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def add(self, tracks: Mapping[str, Sequence[Track]]) -> None:
        """One set."""
        for camera_id, seen in tracks.items():
            own = self.by_camera.setdefault(camera_id, {})
            for track in seen:
                if track.global_id:
                    own.setdefault(track.global_id, deque(maxlen=self.sets)).append(foot_px(track))
        for person, place in places_of(tracks).items():
            self.on_map.setdefault(person, deque(maxlen=MAP_TRAIL_SETS)).append(place)


def make_video(settings: Settings, order: VideoOrder, folder: Path, report: Report) -> Made:
    """Writes the MP4 in ``folder``, one picture a set at the environment's rate, so that the video
    runs as the recording does; ``rows`` is how many pictures. Errors as make_plan's.
    """
    request = asyncio.run(_request(settings, order.task_id))
    catalogue = load_environments(settings.environment_folders())
    environment = known_environment(catalogue, request.environment_id)
    store = open_object_store(settings.store_url(), endpoint_url=settings.s3_endpoint_url)
    cache_dir = data_folder(settings) / "cache"
    plan = make_plan(request, environment, store, cache_dir / "index")
    cameras = order.cameras or [c.camera_id for c in plan.cameras]
    first, following = _sets_of(plan, order)
    path = folder / f"{environment.environment_id}-{order.task_id[:8]}.mp4"
    cache = ClipCache(cache_dir, store, settings.cache_max_bytes)
    count = 0
    with (
        contextlib.closing(StoredTracks(settings.database_url or "", order.task_id)) as tracks,
        plan_graph(
            _part(plan, cameras, following), cache, first, patience_s=settings.service_patience_s
        ) as graph,
    ):
        painter = Painter(environment, cameras, order)
        drawn = painter.pictures(graph.sets(), tracks, range(first, following))
        for picture in _written(path, plan.rate_hz, drawn):
            count += picture
            report(count / (following - first))
    start_ns, period_ns = plan.start_ns, NS_PER_S / plan.rate_hz
    times = (to_datetime(start_ns + round(k * period_ns)) for k in (first, following))
    return Made(path, "video/mp4", count, Range(*times))


class Painter:
    """Sets and their stored tracks as pictures."""

    def __init__(self, environment: Environment, cameras: Sequence[str], order: VideoOrder) -> None:
        self._environment, self._cameras, self._order = environment, cameras, order
        self._trails = Trails(order.style.trail_sets)
        self._plan = plan_picture(environment) if order.with_map else None

    def pictures(
        self, sets: Iterator[FrameSet], tracks: StoredTracks, wanted: range
    ) -> Iterator[Picture]:
        """One picture for each wanted set; the one before where the footage has a gap."""
        shown: Picture | None = None
        following = wanted.start
        for frame_set in sets:
            if frame_set.index not in wanted:
                continue
            drawn = self._drawn(frame_set, tracks.of_set(frame_set.index))
            while following < frame_set.index:
                following += 1
                yield drawn if shown is None else shown
            shown, following = drawn, frame_set.index + 1
            yield drawn

    def _drawn(self, frame_set: FrameSet, seen: Mapping[str, list[Track]]) -> Picture:
        self._trails.add(seen)
        tiles = [self._camera(frame_set.frames.get(c), seen.get(c, []), c) for c in self._cameras]
        alone = tiles[0] if len(tiles) == 1 else None
        whole = mosaic(tiles, TILE_WH) if alone is None else alone
        if self._plan is not None:
            places = {c: seen.get(c, []) for c in self._cameras}
            inset(whole, self._map(places))
        stamp(whole, to_rfc3339(frame_set.media_time_ns))
        return even(whole)

    def _camera(
        self, frame: Frame | None, tracks: Sequence[Track], camera_id: str
    ) -> Picture | None:
        if frame is None:
            return None
        bgr = np.asarray(cv2.cvtColor(frame.i420, cv2.COLOR_YUV2BGR_I420), np.uint8)
        own = self._trails.by_camera.get(camera_id, {})
        trails = {person: list(points) for person, points in own.items()}
        drawing = Drawing(self._order.style, trails, camera_id=camera_id)
        return draw_overlay(bgr, tracks, (frame.width, frame.height), drawing)

    def _map(self, tracks: Mapping[str, Sequence[Track]]) -> Picture:
        picture = np.empty(0, np.uint8) if self._plan is None else self._plan.copy()
        bounds = self._environment.map_bounds_m
        for person, (x, y) in places_of(tracks).items():
            way = [to_plan(p, bounds, picture) for p in self._trails.on_map.get(person, ())]
            if len(way) > 1:
                line = np.array(way, np.int32).reshape(-1, 1, 2)
                cv2.polylines(picture, [line], False, colour_of(person), 1, cv2.LINE_AA)
            cv2.circle(picture, to_plan((x, y), bounds, picture), 4, colour_of(person), -1)
        return picture


def places_of(tracks: Mapping[str, Sequence[Track]]) -> dict[str, tuple[float, float]]:
    """Each person's place in metres, from the camera that is surest of it."""
    found: dict[str, tuple[float, tuple[float, float]]] = {}
    for track in (t for seen in tracks.values() for t in seen):
        if track.global_id and track.map_coords:
            sigma_m = track.map_uncertainty_m
            sigma = float("inf") if sigma_m is None else sigma_m
            if track.global_id not in found or sigma < found[track.global_id][0]:
                found[track.global_id] = sigma, track.map_coords
    return {person: place for person, (_, place) in found.items()}


def plan_picture(environment: Environment, width: int = 320) -> Picture:
    """The floor with its zones, BGR; y grows upwards as on the map."""
    x0, y0, x1, y1 = environment.map_bounds_m
    height = int(np.clip(width * (y1 - y0) / (x1 - x0), width / 4, width * 1.5))
    picture = np.full((height, width, 3), 245, np.uint8)
    for zone in environment.zones:
        corners = [to_plan((x, y), environment.map_bounds_m, picture) for x, y in zone.polygon_m]
        cv2.polylines(picture, [np.array(corners, np.int32)], True, (190, 180, 170), 1, cv2.LINE_AA)
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), (120, 110, 100), 1)
    return picture


def to_plan(
    place_m: tuple[float, float], bounds: tuple[float, float, float, float], picture: Picture
) -> tuple[int, int]:
    """Metres to pixels of the plan."""
    x0, y0, x1, y1 = bounds
    across = (place_m[0] - x0) / (x1 - x0) * (picture.shape[1] - 1)
    down = (y1 - place_m[1]) / (y1 - y0) * (picture.shape[0] - 1)
    limit = 4 * picture.shape[1]
    return int(np.clip(across, -limit, limit)), int(np.clip(down, -limit, limit))


def inset(whole: Picture, plan: Picture) -> None:
    """Puts the plan into the lower right corner, in place."""
    scale = min(whole.shape[1] * INSET_SHARE / plan.shape[1], whole.shape[0] / 2 / plan.shape[0])
    width, height = int(plan.shape[1] * scale), int(plan.shape[0] * scale)
    small = cv2.resize(plan, (width, height), interpolation=cv2.INTER_AREA)
    margin = max(whole.shape[1] // 80, 2)
    bottom, right = whole.shape[0] - margin, whole.shape[1] - margin
    whole[bottom - height : bottom, right - width : right] = small


def stamp(whole: Picture, text: str) -> None:
    """The media time, upper left, in place."""
    size = whole.shape[1] / 1280 * 0.6
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        place = (8, int(12 + 20 * size))
        cv2.putText(
            whole, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA
        )


def even(picture: Picture) -> Picture:
    """Cut to even sides, which I420 needs."""
    return picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]


def _written(path: Path, rate_hz: float, pictures: Iterator[Picture]) -> Iterator[int]:
    """Encodes pictures, all as large as the first, and yields 1 for each."""
    first = next(pictures, None)
    if first is None:
        raise InvalidTimeRangeError("the footage of this range has no pictures: ask for another")
    height, width = first.shape[:2]
    with VideoWriter(path, rate_hz, width, height, faststart=True) as writer:
        for picture in _with(first, pictures):
            same = picture if picture.shape[:2] == (height, width) else cv2.resize(
                picture, (width, height)
            )  # fmt: skip
            writer.write_i420(np.asarray(cv2.cvtColor(same, cv2.COLOR_BGR2YUV_I420), np.uint8))
            yield 1


def _with(first: Picture, others: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from others


async def _request(settings: Settings, task_id: str) -> TaskRequest:
    store = Store(settings.database_url or "")
    try:
        return (await store.get_task(task_id)).request
    finally:
        await store.close()


def _sets_of(plan: Plan, order: VideoOrder) -> tuple[int, int]:
    """First set, and the one after the last."""
    last = -int(-(plan.end_ns - plan.start_ns) * plan.rate_hz // NS_PER_S)
    first = max(_slot(plan, order.start_time, 0), 0)
    following = min(_slot(plan, order.end_time, last), last)
    if first >= following:
        raise InvalidTimeRangeError(
            f"task {order.task_id} plays {to_rfc3339(plan.start_ns)} to "
            f"{to_rfc3339(plan.end_ns)}: ask for a range of that"
        )
    if (following - first) / plan.rate_hz > MAX_VIDEO_S:
        raise InvalidTimeRangeError(
            f"a video has {MAX_VIDEO_S} s at most: give start_time and end_time"
        )
    return first, following


def _slot(plan: Plan, time: datetime | None, default: int) -> int:
    if time is None:
        return default
    return -int(-(from_datetime(time) - plan.start_ns) * plan.rate_hz // NS_PER_S)


def _part(plan: Plan, cameras: Sequence[str], following: int) -> Plan:
    """The plan of these cameras alone, up to a set."""
    end_ns = plan.start_ns + round(following * NS_PER_S / plan.rate_hz)
    recorded = {c: plan.recordings[c] for c in cameras if c in plan.recordings}
    return replace(plan, recordings=recorded, end_ns=min(end_ns, plan.end_ns))
