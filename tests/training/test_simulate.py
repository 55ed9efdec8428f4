"""``spoton simulate`` from the command line: files, truth, cache, and nothing half done."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from control_plane.__main__ import main
from homography.environment import read_environment
from plugins.errors import InvalidInputError
from plugins.media.mp4 import read_mp4_info
from tests.blob_world import environment_toml
from tests.waiting import PATIENCE_S, wait_until
from training.ground_truth import Scene, gt_lines
from training.simulate import Order, simulate

CAMERAS = ("north", "east", "south", "west")
SECONDS, PEOPLE = 16.0, 4


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """A folder with one small environment: four cameras of 640x360 at 10 Hz."""
    folder = tmp_path_factory.mktemp("environments")
    (folder / "blobs.toml").write_text(environment_toml(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def simulated(environments, tmp_path_factory):
    """A scene made by the command, two sub-videos long."""
    out = tmp_path_factory.mktemp("scene")
    assert command(environments, out) == 0
    return out


def command(environments, out, *more):
    before = os.environ.get("SPOTON_ENVIRONMENTS_DIR")
    os.environ["SPOTON_ENVIRONMENTS_DIR"] = str(environments)
    words = ["--people", str(PEOPLE), "--seconds", str(SECONDS), "--seed", "3", *more]
    try:
        return main(["simulate", "-e", "blobs", "--out", str(out), *words])
    finally:
        os.environ.pop("SPOTON_ENVIRONMENTS_DIR")
        if before is not None:
            os.environ["SPOTON_ENVIRONMENTS_DIR"] = before


def order(environments, out, **changes):
    environment, _ = read_environment(environments / "blobs.toml")
    assert environment is not None
    given = {"seed": 3, "people": 1, "seconds": 0.3} | changes
    return Order(environment, out=out, **given)


def contents(folder: Path):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(out, camera_id):
    return np.loadtxt(out / "ground_truth" / camera_id / "gt.txt", delimiter=",", ndmin=2)


def world(out):
    with (out / "ground_truth" / "world.csv").open() as file:
        return {
            (int(row["frame"]), int(row["id"])): (float(row["x_m"]), float(row["y_m"]))
            for row in csv.DictReader(file)
        }


def test_every_camera_has_playable_sub_videos_in_the_stores_layout(simulated):
    """15 s in the first, the rest in the second; every frame once, at the environment's rate."""
    for camera_id in CAMERAS:
        counts = []
        for path in sorted((simulated / "blobs" / camera_id).iterdir()):
            content = path.read_bytes()
            info = read_mp4_info(lambda a, n, c=content: c[a : a + n], len(content), path.name)
            assert (info.width, info.height) == (640, 360)
            assert info.frame_interval_ns == 100_000_000
            counts.append(info.frame_count)
        assert counts == [150, 10]


def test_ground_truth_boxes_lie_in_the_picture_and_belong_to_somebody(simulated):
    """MOTChallenge's nine columns; people who are there at that moment; each once a frame."""
    there = world(simulated)
    for camera_id in CAMERAS:
        table = rows(simulated, camera_id)
        assert table.shape[1] == 9
        assert len({(f, k) for f, k in table[:, :2].tolist()}) == len(table)
        assert {(int(f), int(k)) for f, k in table[:, :2].tolist()} <= set(there)
        assert (table[:, 2:4] >= 0).all()
        assert (table[:, 2] + table[:, 4] <= 640.01).all()
        assert (table[:, 3] + table[:, 5] <= 360.01).all()
        assert (table[:, 8] > 0).all()
        assert (table[:, 8] <= 1).all()


def test_foot_points_agree_with_the_world(simulated, environments):
    """Through the environment's own calibration the middle of a whole person's lower edge is where
    the world file says, within half a step. Who walks where differs a little between processors.
    """
    environment, _ = read_environment(environments / "blobs.toml")
    assert environment is not None
    there, off_m = world(simulated), []
    for camera in environment.cameras:
        table = rows(simulated, camera.camera_id)
        left, top, width, height = table[:, 2:6].T
        whole = (left > 1) & (left + width < 639) & (top + height < 359) & (top > 1)
        foot = np.column_stack([left + width / 2, top + height])[whole]
        found = camera.ground_plane.to_ground(foot).position_m
        true = np.array([there[int(f), int(k)] for f, k in table[whole, :2]])
        off_m += np.linalg.norm(found - true, axis=1).tolist()
    assert len(off_m) > 50
    assert np.median(off_m) < 0.3
    assert np.quantile(off_m, 0.95) < 0.6


def test_the_scene_tells_how_it_was_made(simulated):
    """Seed, rate and everybody's looks; the fingerprint is there because the scene is whole."""
    scene = msgspec.json.decode(
        (simulated / "ground_truth" / "scene.json").read_bytes(), type=Scene
    )
    assert (scene.environment_id, scene.seed, scene.rate_hz) == ("blobs", 3, 10.0)
    assert scene.frames == 160
    assert scene.boxes == sum(len(rows(simulated, camera)) for camera in CAMERAS)
    assert [person["person_id"] for person in scene.people] == [1, 2, 3, 4]
    assert scene.fingerprint


def test_the_same_scene_is_not_rendered_again(simulated, environments, capsys):
    """The second call says so in its JSON and leaves every file as it is."""
    before = {path: path.stat().st_mtime_ns for path in simulated.rglob("*")}
    assert command(environments, simulated, "--json") == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["cached"] is True
    assert answer["people"] == PEOPLE
    assert {path: path.stat().st_mtime_ns for path in simulated.rglob("*")} == before


def test_another_seed_replaces_the_scene(environments, tmp_path):
    """The old files go, also those that the new scene has no longer."""
    simulate(order(environments, tmp_path, seconds=15.3))
    assert (tmp_path / "blobs" / "east" / "sub_video_02.mp4").exists()
    scene, was_there = simulate(order(environments, tmp_path, seed=4))
    assert not was_there
    assert scene.seed == 4
    assert not (tmp_path / "blobs" / "east" / "sub_video_02.mp4").exists()


def test_breaking_off_leaves_the_old_scene_and_nothing_else(environments, tmp_path):
    """Ctrl-C in the middle: every file is as before, the workers and their folder are gone."""
    simulate(order(environments, tmp_path))
    before = contents(tmp_path)

    def break_off(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(order(environments, tmp_path, seed=9, seconds=30.0), break_off)
    assert contents(tmp_path) == before


def test_sigterm_in_the_middle_leaves_nothing(environments, tmp_path):
    """As an operator or a container's end sends it to the command."""
    out = tmp_path / "scene"
    words = ["-e", "blobs", "--seconds", "600", "--people", "1", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "control_plane", "simulate", *words],
        env=os.environ | {"SPOTON_ENVIRONMENTS_DIR": str(environments)},
    )
    try:
        wait_until(lambda: list(out.glob(".simulate-*.part/**/*.mp4")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    finally:
        process.kill()
    assert list(out.iterdir()) == []


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(environments, tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    parts = [tmp_path / f".simulate-{pid}.part" for pid in (ended.pid, os.getpid(), os.getppid())]
    for part in parts:
        part.mkdir()
    simulate(order(environments, tmp_path))
    assert [part.exists() for part in parts] == [False, False, True]


def test_recordings_of_others_are_never_replaced(environments, tmp_path):
    """A folder that already holds this camera's recordings is refused, by name."""
    recording = tmp_path / "blobs" / "north" / "sub_video_01.mp4"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"irreplaceable")
    with pytest.raises(InvalidInputError, match=r"north.*--out"):
        simulate(order(environments, tmp_path))
    assert recording.read_bytes() == b"irreplaceable"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"people": 0}, "--people"),
        ({"people": 33}, "32"),
        ({"seconds": -1.0}, "--seconds"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_impossible_orders_are_refused(environments, tmp_path, changes, word):
    """The message names the option and what it may be; nothing is written."""
    with pytest.raises(InvalidInputError, match=word):
        simulate(order(environments, tmp_path / "new", **changes))
    assert not (tmp_path / "new").exists()


def test_boxes_are_cut_at_the_border_and_the_unseen_left_out():
    """Beyond the border there is no picture; hidden people, and absent ones, have no line."""
    boxes = np.array([[-10.0, 20, 30, 700], [5, 5, 25, 45], [np.nan] * 4, [700, 5, 720, 9]])
    lines = gt_lines(0, boxes, np.array([0.5, 0.0, 0.0, 0.4]), 640, 360)
    assert lines == ["1,1,0.00,20.00,30.00,340.00,1,1,0.500"]
