"""The whole path over real parts, started as its users start it.

Object store over HTTP, GStreamer, Triton, PostgreSQL, Redis, the control plane and its WebSockets.
The generated world runs on every machine; the laboratory where its footage is.
"""

import asyncio
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import asyncpg
import cv2
import httpx
import numpy as np
import pytest
import websockets

from plugins.wire import decode_set
from tests.blob_world import CAMERAS, CUTS, FRAMES, HEIGHT, WIDTH, make_blob_world, positions_m
from tests.lab import SETS, prepare_lab
from tests.lab_score import cross_camera_score
from tests.object_server import bucket_of
from tests.stack import Stack, data_folder, last_json, running_stack, spoton
from tests.triton_fixtures import require_triton
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    require_triton()
    return make_blob_world(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def stack(world):
    """``spoton up`` whose recordings lie behind the S3 protocol."""
    with (
        data_folder() as folder,
        bucket_of(world.recordings) as s3,
        running_stack(world.settings() | s3, folder) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def finished(stack):
    """A task that has run at full speed while clients watched: (task id, status, seen)."""
    task_id = stack.start_task(environment_id="blobs", speed="max", seed=1)
    seen = asyncio.run(watch(stack, task_id))
    return task_id, stack.wait(task_id), seen


async def watch(stack: Stack, task_id: str) -> dict[str, list]:
    """Everything both WebSockets of a task send until they are closed."""
    updates, sets = await asyncio.gather(
        receive(f"{stack.websocket}/ws/tracking/{task_id}?since=-1"),
        receive(f"{stack.websocket}/ws/frames/{task_id}?since=-1"),
    )
    messages = [json.loads(m) for m in updates]
    binary = [decode_set(m) for m in sets if isinstance(m, bytes)]
    return {"messages": messages, "sets": binary}


async def receive(url: str) -> list:
    async with websockets.connect(url, max_size=None, open_timeout=PATIENCE_S) as socket:
        messages = [message async for message in socket]
        assert socket.close_code == 1000
    return messages


def rows(stack: Stack, sql: str, *args):
    async def run():
        connection = await asyncpg.connect(stack.urls()["database_url"])
        try:
            return await connection.fetch(sql, *args)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_every_set_is_played_and_none_dropped(finished):
    """All frames of all cameras, over every cut between sub-videos."""
    _, status, _ = finished
    assert status["status"] == "COMPLETED"
    assert (status["sets"], status["dropped"], status["progress"]) == (FRAMES, 0, 1.0)
    for camera_id in CAMERAS:
        camera = status["cameras"][camera_id]
        assert (camera["frames"], camera["missing"], camera["error"]) == (FRAMES, 0, None)


def test_two_figures_are_two_persons_in_all_cameras(stack, finished):
    """Red is one global id and blue another, the same in each camera, from begin to end."""
    task_id, status, _ = finished
    assert status["persons"] == 2
    events = rows(
        stack,
        "select camera_id, frame_index, global_id::text, map_x, map_y from tracking_events "
        "where task_id = $1 and global_id is not null",
        task_id,
    )
    assert len({event["global_id"] for event in events}) == 2
    owners: dict[str, Counter] = defaultdict(Counter)
    for event in events:
        place = np.array([event["map_x"], event["map_y"]])
        distances = np.linalg.norm(positions_m(event["frame_index"]) - place, axis=1)
        owners[event["global_id"]][int(np.argmin(distances))] += 1
    assert {counter.most_common(1)[0][0] for counter in owners.values()} == {0, 1}
    right = sum(counter.most_common(1)[0][1] for counter in owners.values())
    assert right / len(events) > 0.97
    per_camera = Counter(event["camera_id"] for event in events)
    assert all(per_camera[camera_id] > 0.7 * 2 * FRAMES for camera_id in CAMERAS)


def test_floor_positions_are_where_the_figures_stand(stack, finished):
    """The fused, smoothed trajectory is within 20 cm of the truth at the median."""
    task_id, _, _ = finished
    found = rows(
        stack, "select frame_index, map_x, map_y from trajectories where task_id = $1", task_id
    )
    errors = [
        np.linalg.norm(positions_m(r["frame_index"]) - (r["map_x"], r["map_y"]), axis=1).min()
        for r in found
    ]
    assert len(found) > 1.8 * FRAMES
    assert np.median(errors) < 0.2


def test_the_tracking_socket_sends_what_is_stored(stack, finished):
    """Each set once and in order, with the same ids as the history."""
    task_id, _, seen = finished
    updates = [m["payload"] for m in seen["messages"] if m["type"] == "tracking_update"]
    indices = [u["global_frame_index"] for u in updates]
    assert indices == sorted(set(indices))
    assert len(indices) > 0.9 * FRAMES
    stored = defaultdict(set)
    for r in rows(
        stack,
        "select frame_index, camera_id, track_id, global_id::text from tracking_events "
        "where task_id = $1",
        task_id,
    ):
        stored[r["frame_index"]].add((r["camera_id"], r["track_id"]))
    for update in updates:
        sent = {(c, t["track_id"]) for c, view in update["cameras"].items() for t in view["tracks"]}
        assert sent == stored[update["global_frame_index"]]
    kinds = {m["type"] for m in seen["messages"]}
    assert {"connection_established", "status_update", "tracking_update"} <= kinds


def opened(jpeg):
    """The picture, and how many times smaller it is: a client that a busy machine keeps from
    reading gets halves and quarters.
    """
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    smaller = WIDTH // picture.shape[1]
    assert smaller in {1, 2, 4}
    return picture, smaller


def test_the_frames_socket_sends_whole_sets(finished):
    """Four decodable pictures of the right size and the metadata of the same set; the first ones of
    full size, whatever the machine is busy with.
    """
    _, _, seen = finished
    assert seen["sets"]
    assert all(opened(jpeg)[1] == 1 for jpeg in seen["sets"][0].jpegs.values())
    for binary in seen["sets"]:
        assert list(binary.jpegs) == list(CAMERAS)
        assert json.loads(binary.metadata_json)["global_frame_index"] == binary.frame_index
        for jpeg in binary.jpegs.values():
            picture, smaller = opened(jpeg)
            assert picture.shape == (HEIGHT // smaller, WIDTH // smaller, 3)


def test_boxes_lie_on_the_figures(finished):
    """The middle of every fresh box shows a figure's colour in the picture sent with it."""
    _, _, seen = finished
    looked = hits = 0
    for binary in seen["sets"]:
        update = json.loads(binary.metadata_json)
        for camera_id, view in update["cameras"].items():
            picture, smaller = opened(binary.jpegs[camera_id])
            for track in view["tracks"]:
                x1, y1, x2, y2 = (side / smaller for side in track["bbox_xyxy"])
                b, _, r = picture[int((y1 + y2) / 2), int((x1 + x2) / 2)]
                hits += abs(r - b) > 60
                looked += 1
    assert looked
    assert hits / looked > 0.98


def test_the_same_seed_gives_the_same_ids_at_another_speed(stack, finished):
    """Four seconds played live have the persons that they have at full speed."""
    some = {"environment_id": "blobs", "seed": 7, "end_time": "2024-05-01T09:00:04Z"}
    tasks = [stack.start_task(**some, speed="max"), stack.start_task(**some, speed=1)]
    states = [stack.wait(task) for task in tasks]
    assert [state["status"] for state in states] == ["COMPLETED", "COMPLETED"]
    if states[1]["dropped"]:
        pytest.skip("this machine is too busy to play ten sets a second")
    identified = (
        "select frame_index, camera_id, track_id, global_id::text from tracking_events "
        "where task_id = $1 order by 1, 2, 3"
    )
    fast, live = ([tuple(row) for row in rows(stack, identified, task)] for task in tasks)
    assert fast == live


def test_a_range_of_time_and_some_cameras_can_be_played(stack):
    """Three seconds in the middle of two cameras are thirty sets."""
    task_id = stack.start_task(
        environment_id="blobs",
        speed="max",
        cameras=["north", "west"],
        start_time="2024-05-01T09:00:04Z",
        end_time="2024-05-01T09:00:07Z",
    )
    status = stack.wait(task_id)
    assert (status["status"], status["sets"]) == ("COMPLETED", 30)
    assert list(status["cameras"]) == ["north", "west"]
    [times] = rows(
        stack,
        "select min(media_time) first, max(media_time) last from tracking_events "
        "where task_id = $1",
        task_id,
    )
    # A track is stored from its confirmation on, a few sets after its first box.
    assert "2024-05-01T09:00:04" <= times["first"].isoformat() < "2024-05-01T09:00:04.5"
    assert times["last"].isoformat() == "2024-05-01T09:00:06.900000+00:00"


def test_a_running_task_can_be_stopped(stack):
    """It ends as STOPPED, and what was played so far is stored."""
    task_id = stack.start_task(environment_id="blobs", speed=0.25)
    stack.wait(task_id, lambda s: s["sets"] > 9)
    assert stack.api.post(f"/processing-tasks/{task_id}/stop").is_success
    status = stack.wait(task_id)
    assert status["status"] == "STOPPED"
    [count] = rows(
        stack, "select count(distinct frame_index) n from tracking_events where task_id=$1", task_id
    )
    assert 3 < count["n"] < FRAMES


def test_date_ranges_tell_what_is_recorded(stack):
    """Twelve seconds of one day, no gaps."""
    ranges = stack.api.get("/environments/blobs/date-ranges").json()
    assert ranges["has_data"]
    assert ranges["data_gaps"] == []


def test_health_is_good_and_names_every_component(stack):
    """All parts are up."""
    health = httpx.get(f"{stack.address}/health", timeout=PATIENCE_S).json()
    assert health["status"] == "healthy", health
    assert health["detector_model_loaded"]
    assert health["prototype_tracker_loaded"]
    assert health["homography_matrices_precomputed"]


def test_the_log_and_health_say_which_profile_runs_and_why(stack):
    """The choice of ``auto`` is one line in the worker's log."""
    text = (stack.data_dir / "logs" / "worker.log").read_text()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    (ready,) = [line for line in lines if "worker_ready" in line]
    chosen = re.search(r"profile=(cpu|gpu) reason='?\w", ready)
    assert chosen is not None, ready
    parts = httpx.get(f"{stack.address}/health", timeout=PATIENCE_S).json()["components"]
    assert f"running on {chosen[1]}" in parts["pipeline_workers"]["detail"]


def test_run_plays_without_the_control_plane(world):
    """``spoton run --json`` ends with one object that has all figures."""
    with data_folder() as folder:
        done = spoton("run", "-e", "blobs", "--json", settings=world.settings(), data_dir=folder)
    assert done.returncode == 0, done.stderr
    result = last_json(done.stdout)
    assert (result["sets"], result["dropped"], result["persons"]) == (FRAMES, 0, 2)
    assert result["sets_per_s"] > 0
    assert {"detect", "track", "match", "publish"} <= set(result["stage_ms"])
    assert {c: v["frames"] for c, v in result["cameras"].items()} == dict.fromkeys(CUTS, FRAMES)


def test_an_unknown_environment_is_named_with_the_known_ones(world, tmp_path):
    """One line on stderr, a non-zero status."""
    done = spoton("run", "-e", "moon", settings=world.settings(), data_dir=tmp_path / "data")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert "'moon'" in line
    assert "blobs" in line


def test_the_laboratory_is_played_whole(test_data: Path, tmp_path_factory):
    """268 sets, none dropped; both walkers in all four cameras, one id each."""
    lab = prepare_lab(tmp_path_factory.mktemp("lab") / "lab", test_data)
    with (
        data_folder() as folder,
        bucket_of(lab.recordings) as s3,
        running_stack(lab.settings() | s3, folder) as stack,
    ):
        task_id = stack.start_task(environment_id="lab", speed="max")
        status = stack.wait(task_id)
        events = rows(stack, "select * from tracking_events where task_id = $1", task_id)
    assert (status["status"], status["sets"], status["dropped"]) == ("COMPLETED", SETS, 0)
    truth = json.loads((test_data / "lab4" / "pseudo_gt.json").read_text())
    score = cross_camera_score(truth, events)
    assert score.idf1 > 0.85
    assert score.cameras_per_walker == {"A": 4, "B": 4}
