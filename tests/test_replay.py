"""Stored sets shown again: the right picture with the right tracks, whatever is asked for."""

import asyncio
import threading
import time
import uuid
from contextlib import contextmanager

import cv2
import msgspec
import numpy as np
import pytest
import redis

from control_plane.store import Store
from homography.environment import load_environments
from plugins.media_time import parse_rfc3339, to_datetime
from plugins.messages import (
    Playback,
    PlaybackCommand,
    PlaybackFrame,
    TaskRequest,
    replay_commands_list,
    replay_frames_stream,
    replay_key,
    replay_tracks_stream,
    watched_key,
)
from plugins.replay import run_replay
from plugins.wire import decode_set
from plugins.worker import WorkerSettings
from tests.recordings import read_number, write_video
from tests.services import postgres_url, redis_url

FRAMES, RATE_HZ = 60, 10
ENVIRONMENT = """
environment_id = "yard"
name = "Yard"
environment_type = "test"
description = "Two cameras whose frames carry their numbers"
timezone = "UTC"
recording_start = 2024-05-01T09:00:00Z
rate_hz = 10.0
object_store_prefix = "yard"
map_bounds_m = [0.0, 0.0, 20.0, 15.0]
"""
CAMERA = """
[[cameras]]
camera_id = "{0}"
name = "{0}"
width = 320
height = 240
fps = 10.0
image_to_ground = [[0.0, -0.06, 26.0], [0.04, 0.0, -2.0], [0.0, 0.0, 1.0]]
"""
START_NS = parse_rfc3339("2024-05-01T09:00:00Z")
CUTS = {"y1": (60,), "y2": (23, 37)}
PERSON = uuid.uuid4()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Recordings with numbered frames, cut differently for each camera, and their environment."""
    folder = tmp_path_factory.mktemp("replay")
    text = ENVIRONMENT + "".join(CAMERA.format(camera_id) for camera_id in CUTS)
    (folder / "yard.toml").write_text(text)
    for camera_id, counts in CUTS.items():
        first = 0
        (folder / "recordings" / "yard" / camera_id).mkdir(parents=True)
        for number, count in enumerate(counts, 1):
            path = folder / "recordings" / "yard" / camera_id / f"sub_video_{number:02d}.mp4"
            write_video(path, count, RATE_HZ, first_number=first)
            first += count
    return folder, load_environments([folder]).environments["yard"]


class Shown:
    """What a replay has put into Redis, and the buttons."""

    def __init__(self, url, task_id):
        self.redis, self.task_id = redis.Redis.from_url(url), task_id
        self.redis.set(watched_key(task_id), 1)

    def tell(self, kind, **values):
        command = msgspec.json.encode(PlaybackCommand(kind, **values))
        self.redis.rpush(replay_commands_list(self.task_id), command)

    def state(self):
        found = self.redis.get(replay_key(self.task_id))
        return msgspec.json.decode(found, type=Playback) if found else None

    def wait(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, f"still {self.state()}"
            time.sleep(0.02)

    def frames(self):
        found = self.redis.xrange(replay_tracks_stream(self.task_id))
        texts = [fields[b"json"] for _, fields in found if b"json" in fields]
        return [msgspec.json.decode(text, type=PlaybackFrame) for text in texts]

    def sets(self):
        found = self.redis.xrange(replay_frames_stream(self.task_id))
        return [decode_set(fields[b"set"]) for _, fields in found if b"set" in fields]


async def store_task(url, task_id, last_index, status):
    """A task as a worker leaves it: one person in y1, seen in every set from the third on."""
    store = Store(url)
    await store.create_task(TaskRequest(task_id, "yard", []))
    rows = [
        (
            *(to_datetime(START_NS + k * 10**8), "yard", task_id, "y1", k, 7, PERSON),
            *(10.0 + k, 20.0, 50.0 + k, 90.0, 0.5, 1.0, 2.0, 0.5),
        )
        for k in range(3, last_index + 1)
    ]
    async with store.connection() as connection:
        await connection.executemany(
            "insert into tracking_events (media_time, environment_id, task_id, camera_id,"
            " frame_index, track_id, global_id, x1, y1, x2, y2, confidence, map_x, map_y,"
            " map_uncertainty_m) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
            " $14, $15)",
            rows,
        )
        await connection.execute(
            "update tasks set frame_index = $2, status = $3 where task_id = $1",
            task_id,
            last_index,
            status,
        )
    await store.close()


@contextmanager
def replay(place, first, *, last_index=FRAMES - 1, status="COMPLETED", **values):
    """A replay that has been given one command; ended by the block's end."""
    folder, environment = place
    task_id, database = str(uuid.uuid4()), postgres_url()
    asyncio.run(store_task(database, task_id, last_index, status))
    url = redis_url()
    settings = WorkerSettings(
        database_url=database,
        redis_url=url,
        triton_url="",
        store_url=(folder / "recordings").resolve().as_uri(),
        s3_endpoint_url=None,
        cache_dir=folder / "cache",
        cache_max_bytes=10**9,
        frames_kept=200,
        updates_kept=200,
        jpeg_quality=80,
        score_threshold=0.3,
    )
    shown = Shown(url, task_id)
    shown.tell(first, **values)
    request = TaskRequest(task_id, "yard", [])
    thread = threading.Thread(target=run_replay, args=(request, environment, settings))
    thread.start()
    try:
        yield shown, thread
    finally:
        shown.tell("stop")
        thread.join(20)
        assert not thread.is_alive()


def numbers(binary_set):
    """The frame number burned into each camera's picture."""
    return {
        camera_id: read_number(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE))
        for camera_id, jpeg in binary_set.jpegs.items()
    }


def media_time(index):
    return START_NS + index * 10**9 // RATE_HZ


def test_seeking_lands_on_the_right_frame_of_every_camera(place):
    """While it is paused exactly one set is shown for each place, forward, back and at the end."""
    with replay(place, "pause") as (shown, _):
        shown.wait(shown.sets)
        for n, index in enumerate((37, 5, 59, 22, 23, 0), 1):
            shown.tell("seek", time_ns=media_time(index) + 1000)
            shown.wait(lambda n=n: len(shown.sets()) > n)
            newest = shown.sets()[-1]
            assert newest.frame_index == index
            assert numbers(newest) == {"y1": index, "y2": index}
            assert shown.frames()[-1].frame_data.global_frame_index == index
        time.sleep(0.4)
        assert len(shown.sets()) == 7
        assert shown.state().state == "paused"


def test_a_replay_shows_every_stored_set_with_its_tracks(place):
    """From begin to end at four times the speed; then it stands at the end."""
    with replay(place, "speed", speed=4.0) as (shown, thread):
        shown.tell("play")
        shown.wait(lambda: len(shown.frames()) >= FRAMES)
        frames = shown.frames()
        assert [f.frame_data.global_frame_index for f in frames] == list(range(FRAMES))
        assert [numbers(s)["y2"] for s in shown.sets()] == list(range(FRAMES))
        for frame in frames:
            index = frame.frame_data.global_frame_index
            tracks = frame.frame_data.cameras["y1"].tracks
            assert [t.global_id for t in tracks] == ([str(PERSON)] if index >= 3 else [])
            assert frame.frame_data.cameras["y2"].tracks == []
        track = frames[20].frame_data.cameras["y1"].tracks[0]
        assert track.bbox_xyxy == (30.0, 20.0, 70.0, 90.0)
        assert track.tracking_duration == pytest.approx(1.7)
        assert frames[-1].playback_controls.position == pytest.approx(59 / 60)
        assert frames[0].playback_speed == 4.0
        shown.wait(lambda: shown.state().state == "paused")
        shown.tell("play")  # at the end: from the beginning
        shown.wait(lambda: len(shown.frames()) > FRAMES)
        assert shown.frames()[FRAMES].frame_data.global_frame_index == 0
        assert thread.is_alive()


def test_a_replay_of_a_running_task_ends_at_what_is_stored(place):
    """Viewers go back to what is live: the streams say so, and the state is gone."""
    with replay(place, "seek", time_ns=media_time(25), last_index=30, status="PROCESSING") as (
        shown,
        thread,
    ):
        thread.join(20)
        assert [s.frame_index for s in shown.sets()] == list(range(25, 31))
        newest = shown.redis.xrevrange(replay_tracks_stream(shown.task_id), count=1)
        assert newest[0][1] == {b"over": b""}
        assert shown.state() is None


def test_a_replay_that_cannot_be_played_says_why(place, tmp_path):
    """The recordings are gone: the last entry of the stream names the reason."""
    (tmp_path / "recordings").mkdir()
    with replay((tmp_path, place[1]), "play") as (shown, thread):
        thread.join(20)
        newest = shown.redis.xrevrange(replay_tracks_stream(shown.task_id), count=1)
        assert b"nothing to play" in newest[0][1][b"over"]
