"""Who is where at this moment, counted from the tracking stream and the zones; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import msgspec
import numpy as np

from control_plane.tasks import persons_of
from homography.environment import Zone
from plugins.frames import NS_PER_S
from plugins.media_time import parse_rfc3339
from plugins.messages import TrackingUpdate

LONGEST_ABSENCE_S = 2.0  # who is back within it has not been away


class LiveMetrics(msgspec.Struct, frozen=True):
    """``avg_dwell_time`` is how long those who are there have been, in seconds of media time, null
    for nobody; ``crowd_density`` is persons per square metre of the map.
    """

    total_persons: int
    persons_per_camera: dict[str, int]
    zone_occupancy: dict[str, int]
    avg_dwell_time: float | None
    crowd_density: float


class Alert(msgspec.Struct, frozen=True):
    """More persons in a zone than its capacity. ``state`` tells in ``alert`` messages whether it
    has begun or is over.
    """

    type: Literal["over_capacity"]
    zone: str
    count: int
    threshold: int
    state: Literal["active", "over"] = "active"


@dataclass(slots=True)
class _Presence:
    first_ns: int
    last_ns: int


@dataclass(slots=True)
class _Scene:
    update: TrackingUpdate
    present: dict[str, _Presence] = field(default_factory=dict)


class LiveCounts:
    """One environment's newest sets, task by task. Persons without a floor position count in
    totals and cameras, not in zones.
    """

    def __init__(
        self, zones: Sequence[Zone], map_bounds_m: tuple[float, float, float, float]
    ) -> None:
        self._zones = {z.zone_id: z for z in zones}
        self._polygons = {z.zone_id: z.polygon_m.astype(np.float32) for z in zones}
        x0, y0, x1, y1 = map_bounds_m
        self._area_m2 = max((x1 - x0) * (y1 - y0), 1e-9)
        self._scenes: dict[str, _Scene] = {}

    def add(self, task_id: str, update: TrackingUpdate) -> None:
        """One more set of a task; sets come in order."""
        scene = self._scenes.setdefault(task_id, _Scene(update))
        scene.update = update
        now_ns = parse_rfc3339(update.timestamp_media_utc)
        oldest_ns = now_ns - LONGEST_ABSENCE_S * NS_PER_S
        scene.present = {g: p for g, p in scene.present.items() if p.last_ns >= oldest_ns}
        for person in persons_of(update):
            presence = scene.present.setdefault(person.global_id, _Presence(now_ns, now_ns))
            presence.last_ns = now_ns

    def keep_only(self, task_ids: Sequence[str]) -> None:
        """Forgets tasks that have ended."""
        self._scenes = {t: scene for t, scene in self._scenes.items() if t in task_ids}

    def metrics(self) -> LiveMetrics:
        """Of all tasks together."""
        scenes = self._scenes.values()
        per_camera: dict[str, int] = {}
        for scene in scenes:
            for camera_id, count in scene.update.person_count_per_camera.items():
                per_camera[camera_id] = per_camera.get(camera_id, 0) + count
        total = sum(len(persons_of(scene.update)) for scene in scenes)
        stays_s = [
            (p.last_ns - p.first_ns) / NS_PER_S for scene in scenes for p in scene.present.values()
        ]
        return LiveMetrics(
            total_persons=total,
            persons_per_camera=per_camera,
            zone_occupancy=self._occupancy(),
            avg_dwell_time=round(sum(stays_s) / len(stays_s), 2) if stays_s else None,
            crowd_density=round(total / self._area_m2, 4),
        )

    def alerts(self, occupancy: Mapping[str, int]) -> list[Alert]:
        """Zones with more persons than they may hold."""
        return [
            Alert("over_capacity", zone_id, occupancy[zone_id], zone.capacity)
            for zone_id, zone in self._zones.items()
            if zone.capacity is not None and occupancy.get(zone_id, 0) > zone.capacity
        ]

    def _occupancy(self) -> dict[str, int]:
        places = [
            person.map_coords
            for scene in self._scenes.values()
            for person in persons_of(scene.update)
            if person.map_coords is not None
        ]
        return {
            zone_id: sum(
                cv2.pointPolygonTest(polygon, place, measureDist=False) >= 0 for place in places
            )
            for zone_id, polygon in self._polygons.items()
        }


def changes(before: Sequence[Alert], now: Sequence[Alert]) -> list[Alert]:
    """What has begun, and what is over, since the last look."""
    was, is_now = {a.zone: a for a in before}, {a.zone for a in now}
    over = [msgspec.structs.replace(a, state="over") for z, a in was.items() if z not in is_now]
    return [a for a in now if a.zone not in was] + over
