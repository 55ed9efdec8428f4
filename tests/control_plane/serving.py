"""A control plane on a real port over real PostgreSQL and Redis, and a worker's voice."""

import math
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import msgspec
import numpy as np
import redis

from control_plane.app import create_app, make_server, open_listener
from control_plane.health.probes import Component, Probe
from control_plane.recordings import ReadRecordings, Recordings
from control_plane.settings import Settings
from homography.environment import Catalogue, Environment, load_environments
from plugins.media.timeline import Gap, Recording, SubVideo
from plugins.media_time import to_rfc3339
from plugins.messages import (
    CameraTracks,
    TaskProgress,
    Track,
    TrackingUpdate,
    frames_stream,
    progress_key,
    tracks_stream,
)
from plugins.wire import encode_set
from tests.services import free_port, postgres_url, redis_url
from tests.waiting import PATIENCE_S

START_NS = 1_714_554_000_000_000_000
PERIOD_NS = 100_000_000
ENVIRONMENT = """
environment_id = "hall"
name = "Hall"
environment_type = "test"
description = "Four cameras in the corners of a hall"
timezone = "UTC"
recording_start = 2024-05-01T09:00:00Z
rate_hz = 10.0
object_store_prefix = "hall"
map_bounds_m = [0.0, 0.0, 20.0, 15.0]

[[zones]]
zone_id = "entrance"
name = "Entrance"
zone_type = "entrance"
polygon_m = [[0.5, 0.5], [6.0, 0.5], [6.0, 4.0], [0.5, 4.0]]
capacity = 3
"""
CAMERA = """
[[cameras]]
camera_id = "{camera_id}"
name = "{name}"
width = 640
height = 360
fps = 10.0
image_to_ground = [[0.0, -0.06, 26.0], [0.04, 0.0, -2.0], [0.0, 0.0, 1.0]]
"""
CAMERAS = {"h1": "North gate", "h2": "East stairs", "h3": "South hall", "h4": "West lift"}


def write_hall(folder: Path) -> Path:
    """A folder with one environment file."""
    text = ENVIRONMENT + "".join(CAMERA.format(camera_id=i, name=n) for i, n in CAMERAS.items())
    (folder / "hall.toml").write_text(text)
    return folder


def all_well() -> dict[str, Probe]:
    """Probes of a system where everything is there."""

    async def well() -> Component:
        return Component("ok", "fine")

    names = (
        "triton detector_model reid_model homography redis database object_store pipeline_workers"
    )
    return dict.fromkeys(names.split(), well)


def hall_recordings(environment: Environment) -> Recordings:
    """A minute per camera; h2 lacks ten seconds of it, h4 has nothing."""
    end_ns = START_NS + 60 * 10**9
    clip = SubVideo("h1", "hall/h1/sub_video_01.mp4", START_NS, 60 * 10**9, 600, 640, 360)
    gap = Gap(START_NS + 20 * 10**9, START_NS + 30 * 10**9, "hall/h2/sub_video_02.mp4 is missing")
    return {
        "h1": Recording("h1", START_NS, end_ns, (clip,)),
        "h2": Recording("h2", START_NS, end_ns, (clip,), (gap,), (gap.reason,)),
        "h4": Recording("h4", START_NS, START_NS, (), (), ("no sub-videos under hall/h4/",)),
    }


@dataclass(frozen=True, slots=True)
class Running:
    """A control plane that answers."""

    settings: Settings
    url: str
    ws_url: str
    http: httpx.Client
    worker: "FakeWorker"

    def start(self, **body: Any) -> str:
        """A new task's id."""
        answer = self.http.post(
            "/api/v1/processing-tasks/start", json={"environment_id": "hall"} | body
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])


@contextmanager
def running_app(
    folder: Path,
    *,
    probes: Mapping[str, Probe] | None = None,
    read_recordings: ReadRecordings | None = hall_recordings,
    catalogue: Catalogue | None = None,
    with_default_probes: bool = False,
    **overrides: Any,
) -> Iterator[Running]:
    """A control plane in a thread; ends with the block."""
    port = overrides.pop("port", None) or free_port()
    values: dict[str, Any] = {
        "database_url": postgres_url(),
        "redis_url": redis_url(),
        "anonymous": True,
    }
    settings = Settings(port=port, data_dir=folder, **values | overrides)
    app = create_app(
        settings,
        catalogue or load_environments([write_hall(folder)]),
        probes=None if with_default_probes else probes or all_well(),
        read_recordings=read_recordings,
    )
    server = make_server(app)
    listener = open_listener(settings.host, settings.port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
        try:
            worker = FakeWorker(settings.redis_url or "")
            yield Running(settings, url, f"ws://127.0.0.1:{port}", http, worker)
        finally:
            server.should_exit = True
            thread.join()
            listener.close()


class FakeWorker:
    """Publishes into Redis what a worker publishes."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)

    def publish(
        self, task_id: str, index: int, *, with_pictures: bool = True, padding: int = 0
    ) -> bytes:
        """One synchronised set; returns its binary message."""
        metadata = msgspec.json.encode(update_of(index))
        jpegs = pictures(index) if with_pictures else {}
        jpegs |= {"padding": bytes(padding)} if padding else {}
        message = encode_set(index, media_time(index), metadata, jpegs, 80, is_incomplete=False)
        entry = f"{index + 1}-0"
        self.redis.xadd(tracks_stream(task_id), {"json": metadata}, id=entry, maxlen=3000)
        self.redis.xadd(frames_stream(task_id), {"set": message}, id=entry, maxlen=32)
        return message

    def report(self, task_id: str, **values: Any) -> None:
        """The task's live state."""
        progress = TaskProgress(**values)
        self.redis.set(progress_key(task_id), msgspec.json.encode(progress), ex=3600)


def media_time(index: int) -> int:
    return START_NS + index * PERIOD_NS


def person_at(person: int, index: int) -> tuple[float, float]:
    """Floor position of one of the walkers, metres."""
    phase = index / 40 + person * 1.3
    return 10 + (3 + person) * math.cos(phase), 7.5 + (2 + 0.6 * person) * math.sin(phase * 1.2)


def box_at(person: int, index: int, camera: int) -> tuple[float, float, float, float]:
    """Where the walker shows in a camera's picture, pixels."""
    x_m, y_m = person_at(person, index)
    x = 40 + (x_m if camera % 2 == 0 else 20 - x_m) * 28
    foot = 120 + (y_m if camera < 2 else 15 - y_m) * 14
    height = foot * 0.42
    return x - height / 5, foot - height, x + height / 5, foot


def update_of(index: int, persons: int = 4) -> TrackingUpdate:
    """What the tracker says of a set."""
    cameras = {
        camera_id: CameraTracks(
            f"hall/{camera_id}/sub_video_01.mp4",
            640,
            360,
            [track_of(p, index, c) for p in range(persons) if (p + c) % 4],
        )
        for c, camera_id in enumerate(CAMERAS)
    }
    counts = {camera_id: len(seen.tracks) for camera_id, seen in cameras.items()}
    now = to_rfc3339(time.time_ns())
    return TrackingUpdate(index, "hall", to_rfc3339(media_time(index)), now, cameras, counts)


def track_of(person: int, index: int, camera: int) -> Track:
    return Track(
        track_id=person + 1,
        global_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"person {person}")),
        bbox_xyxy=tuple(round(v, 1) for v in box_at(person, index, camera)),
        confidence=0.9,
        class_id=0,
        map_coords=person_at(person, index),
        map_uncertainty_m=0.25 + 0.1 * camera,
        is_focused=False,
        detection_time=to_rfc3339(media_time(index)),
        tracking_duration=index * 0.1,
    )


def pictures(index: int) -> dict[str, bytes]:
    """A drawn picture per camera."""
    return {camera_id: _picture(index, c) for c, camera_id in enumerate(CAMERAS)}


def _picture(index: int, camera: int) -> bytes:
    picture = np.full((360, 640, 3), (62, 58, 52), np.uint8)
    picture[150:] = (96 + 6 * camera, 104, 108)
    for x in range(-400, 1100, 90):
        cv2.line(picture, (320, 100), (x, 360), (120, 126, 130), 1, cv2.LINE_AA)
    for person in range(4):
        if (person + camera) % 4:
            x1, y1, x2, y2 = (int(v) for v in box_at(person, index, camera))
            cv2.rectangle(picture, (x1 + 4, y1 + 14), (x2 - 4, y2), (70, 50 + 40 * person, 140), -1)
            cv2.circle(picture, ((x1 + x2) // 2, y1 + 8), 9, (150, 180, 220), -1, cv2.LINE_AA)
    return cv2.imencode(".jpg", picture)[1].tobytes()
