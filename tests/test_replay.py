"""Stored sets shown again: the right picture with the right tracks, whatever is asked for."""

import asyncio
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager

import cv2
import msgspec
import numpy as np
import pytest
import redis

from control_plane.settings import as_environment
from control_plane.store import Store
from homography.environment import load_environments
from plugins.media_time import parse_rfc3339, to_datetime, to_rfc3339
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
from tests.control_plane.serving import running_app
from tests.control_plane.test_live import next_of, next_set, opened
from tests.recordings import read_number
from tests.services import postgres_url, redis_url
from tests.stack import ROOT, SPOTON, environment
from tests.waiting import PATIENCE_S, wait_until
from tests.yard import RATE_HZ, START, write_yard

FRAMES = 60
START_NS = parse_rfc3339(START)
CUTS = {"y1": (60,), "y2": (23, 37)}
PERSON = uuid.uuid4()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Recordings with numbered frames, cut differently for each camera, and their environment."""
    folder = tmp_path_factory.mktemp("replay")
    write_yard(folder, CUTS)
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
        deadline = time.monotonic() + PATIENCE_S
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
        thread.join(PATIENCE_S)
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


def test_a_replay_shows_stored_sets_with_their_tracks(place):
    """From begin to end at four times the speed; then it stands at the end."""
    with replay(place, "speed", speed=4.0) as (shown, thread):
        shown.tell("play")
        shown.wait(lambda: FRAMES - 1 in [s.frame_index for s in shown.sets()])
        frames = shown.frames()
        in_order(indices(shown), 0, FRAMES - 1)
        assert [numbers(s)["y2"] for s in shown.sets()] == indices(shown)
        for frame in frames:
            index = frame.frame_data.global_frame_index
            tracks = frame.frame_data.cameras["y1"].tracks
            assert [t.global_id for t in tracks] == ([str(PERSON)] if index >= 3 else [])
            assert frame.frame_data.cameras["y2"].tracks == []
        [track] = frames[-1].frame_data.cameras["y1"].tracks
        assert track.bbox_xyxy == (69.0, 20.0, 109.0, 90.0)
        assert track.tracking_duration == pytest.approx(5.6)
        assert frames[-1].playback_controls.position == pytest.approx(59 / 60)
        assert frames[0].playback_speed == 4.0
        shown.wait(lambda: shown.state().state == "paused")
        before = len(shown.frames())
        shown.tell("play")  # at the end: from the beginning
        shown.wait(lambda: len(shown.frames()) > before)
        assert shown.frames()[before].frame_data.global_frame_index == 0
        assert thread.is_alive()


def indices(shown):
    """Of the sets that were shown."""
    return [frame.frame_data.global_frame_index for frame in shown.frames()]


def in_order(found, first, last):
    """None twice and none back; a busy machine leaves out what would come too late."""
    assert (found[0], found[-1]) == (first, last)
    assert found == sorted(set(found))


def test_a_replay_of_a_running_task_ends_at_what_is_stored(place):
    """Viewers go back to what is live: the streams say so, and the state is gone."""
    with replay(place, "seek", time_ns=media_time(25), last_index=30, status="PROCESSING") as (
        shown,
        thread,
    ):
        thread.join(PATIENCE_S)
        in_order(indices(shown), 25, 30)
        newest = shown.redis.xrevrange(replay_tracks_stream(shown.task_id), count=1)
        assert newest[0][1] == {b"over": b""}
        assert shown.state() is None


def test_a_replay_that_cannot_be_played_says_why(place, tmp_path):
    """The recordings are gone: the last entry of the stream names the reason."""
    (tmp_path / "recordings").mkdir()
    with replay((tmp_path, place[1]), "play") as (shown, thread):
        thread.join(PATIENCE_S)
        newest = shown.redis.xrevrange(replay_tracks_stream(shown.task_id), count=1)
        assert b"nothing to play" in newest[0][1][b"over"]


@contextmanager
def served(place, task_id, folder):
    """A control plane, and a worker in a process of its own; there is no Triton to ask."""
    values = {
        "object_store_url": (place[0] / "recordings").resolve().as_uri(),
        "environments_dir": place[0],
        "triton_url": "127.0.0.1:1",
    }
    catalogue = load_environments([place[0]])
    with running_app(folder, catalogue=catalogue, read_recordings=None, **values) as app:
        asyncio.run(store_task(app.settings.database_url, task_id, FRAMES - 1, "COMPLETED"))
        environ = environment(as_environment(app.settings), folder)
        worker = subprocess.Popen([*SPOTON, "worker"], env=environ, cwd=ROOT)
        try:
            yield app
        finally:
            worker.terminate()
            worker.wait(PATIENCE_S)


def test_a_stored_task_is_shown_again_by_a_worker_over_the_api(place, tmp_path):
    """Held, at any place, and at another speed; tracks and pictures agree."""
    task_id = str(uuid.uuid4())
    url = f"/api/v1/tracking/controls/{task_id}"
    with (
        served(place, task_id, tmp_path) as app,
        opened(app, task_id, query="?replay=true") as tracks,
        opened(app, task_id, "frames", "?replay=true") as pictures,
    ):

        def command(name, **body):
            answer = app.http.post(f"{url}/{name}", json=body)
            assert answer.status_code == 202, answer.text

        def next_frame(index):
            while (frame := next_of(tracks, "playback_frame")["payload"])["frame_data"][
                "global_frame_index"
            ] != index:
                pass
            return frame

        command("pause")
        for index in (37, 5, 59):
            command("seek", timestamp=to_rfc3339(media_time(index) + 1000))
            [track] = next_frame(index)["frame_data"]["cameras"]["y1"]["tracks"]
            assert track["bbox_xyxy"] == [10.0 + index, 20.0, 50.0 + index, 90.0]
            while (shown := decode_set(next_set(pictures))).frame_index != index:
                pass
            assert numbers(shown) == {"y1": index, "y2": index}
        wait_until(lambda: app.http.get(url).json()["state"] == "paused")
        state = app.http.get(url).json()
        assert (state["mode"], state["frame_index"]) == ("replay", 59)
        command("speed", speed=4.0)
        command("play")  # at the end: from the beginning
        frame = next_frame(FRAMES - 1)
        assert frame["playback_speed"] == 4.0
        assert frame["playback_controls"]["position"] == pytest.approx(59 / 60)
