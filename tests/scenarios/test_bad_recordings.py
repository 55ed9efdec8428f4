"""One camera's recordings are bad: it says why and what to do, and the other three go on."""

import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.blob_world import CAMERAS, HEIGHT, RATE_HZ, WIDTH, draw, positions_m
from tests.recordings import (
    VideoWriter,
    corrupt_payload,
    truncate,
    write_audio_only,
    write_text_file,
    write_video,
)
from tests.scenarios.blob_scenes import FRAMES_EACH, SETS, SUB_VIDEOS, Damage, make_scenes
from tests.scenarios.stored import fetch, frames_of
from tests.stack import Stack, data_folder, running_stack
from tests.triton_fixtures import require_triton

BAD = "north"
GOOD = [camera_id for camera_id in CAMERAS if camera_id != BAD]
SECOND = f"{BAD}/sub_video_02.mp4"
# A track is stored from its confirmation on, a few sets after its first box.
UNCONFIRMED_SETS = 5


def on_second(act) -> Damage:
    return lambda folder: act(folder / SECOND)


def no_second(folder: Path) -> None:
    (folder / SECOND).unlink()


def cut_faststart(folder: Path) -> None:
    """The header is whole, the pictures end early."""
    write_video(folder / SECOND, FRAMES_EACH, RATE_HZ, WIDTH, HEIGHT, faststart=True)
    truncate(folder / SECOND, 0.6)


def mpeg4(folder: Path) -> None:
    write_video(folder / SECOND, FRAMES_EACH, RATE_HZ, WIDTH, HEIGHT, codec="mpeg4")


def ends_early(folder: Path) -> None:
    (folder / f"{BAD}/sub_video_03.mp4").unlink()


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder / BAD)


def all_broken(folder: Path) -> None:
    for path in folder.rglob("*.mp4"):
        write_text_file(path)


def recorded_at(width: int, height: int, rate_hz: int) -> Damage:
    """The same scene, filmed by another camera model."""

    def record_again(folder: Path) -> None:
        for number in range(SUB_VIDEOS):
            path = folder / f"{BAD}/sub_video_{number + 1:02d}.mp4"
            first, count = (
                number * FRAMES_EACH * rate_hz // RATE_HZ,
                FRAMES_EACH * rate_hz // RATE_HZ,
            )
            with VideoWriter(path, Fraction(rate_hz), width, height, quantizer=16) as writer:
                for frame in range(first, first + count):
                    picture = draw(CAMERAS[BAD], frame * RATE_HZ / rate_hz)
                    writer.write(planes_of(cv2.resize(picture, (width, height))))

    return record_again


def planes_of(picture) -> list:
    height, width = picture.shape[:2]
    i420 = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
    u, v = i420[height:].reshape(2, height // 2, width // 2)
    return [i420[:height], u, v]


def nothing(_folder: Path) -> None:
    """All is well."""


# What is done, and what the camera's error line must say.
ONE_BAD_CLIP: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "missing-clip": (no_second, (SECOND, "missing", "upload")),
    "zero-byte": (on_second(lambda path: path.write_bytes(b"")), (SECOND, "empty", "upload")),
    "text-file": (on_second(write_text_file), (SECOND, "upload")),
    "truncated-tail": (on_second(lambda path: truncate(path, 0.5)), (SECOND, "upload")),
    "truncated-faststart": (cut_faststart, (SECOND, "truncated", "upload")),
    "audio-only": (on_second(write_audio_only), (SECOND, "upload")),
    "mpeg-4-part-2": (mpeg4, (SECOND, "MPEG-4 part 2", "H.264")),
    "corrupt": (on_second(corrupt_payload), (SECOND,)),
    "ends-early": (ends_early, ("sub_video_03.mp4", "missing", "upload")),
}
SMALL = (320, 180)
OTHERS: dict[str, Damage] = {
    "whole": nothing,
    "no-folder": no_folder,
    "all-broken": all_broken,
    "smaller": recorded_at(*SMALL, 25),
    "squeezed": recorded_at(320, 240, 10),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    require_triton()
    damages = {name: damage for name, (damage, _) in ONE_BAD_CLIP.items()} | OTHERS
    world = make_scenes(tmp_path_factory.mktemp("scenes"), damages)
    with (
        data_folder() as folder,
        running_stack(world.settings() | {"SPOTON_TASKS_AT_ONCE": "2"}, folder) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def tasks(stack: Stack):
    """A task of every environment, all queued at once."""
    names = (*ONE_BAD_CLIP, *OTHERS)
    return {name: stack.start_task(environment_id=name, speed="max", seed=1) for name in names}


@pytest.mark.parametrize("name", ONE_BAD_CLIP)
def test_a_bad_clip_is_named_with_the_remedy(stack, tasks, name):
    """The camera's error says which file, what is the matter with it and what to do."""
    status = stack.wait(tasks[name])
    error = status["cameras"][BAD]["error"]
    for word in ONE_BAD_CLIP[name][1]:
        assert word in error, error
    assert "\n" not in error


@pytest.mark.parametrize("name", [*ONE_BAD_CLIP, "no-folder"])
def test_the_other_cameras_go_on(stack, tasks, name):
    """Every set is played, and every one has the tracks of the three good cameras, once."""
    status = stack.wait(tasks[name])
    assert (status["status"], status["error"]) == ("COMPLETED", None)
    assert (status["sets"], status["dropped"]) == (SETS, 0)
    frames = frames_of(stack.urls()["database_url"], tasks[name])
    for camera_id in GOOD:
        camera = status["cameras"][camera_id]
        assert (camera["frames"], camera["missing"], camera["error"]) == (SETS, 0, None)
        assert frames[camera_id] >= set(range(UNCONFIRMED_SETS, SETS))


@pytest.mark.parametrize("name", [n for n in ONE_BAD_CLIP if n not in {"ends-early", "corrupt"}])
def test_the_camera_itself_goes_on_after_the_bad_clip(stack, tasks, name):
    """Only the clip's own time is empty; what comes after it is where it belongs."""
    camera = stack.wait(tasks[name])["cameras"][BAD]
    assert camera["missing"] == FRAMES_EACH
    frames = frames_of(stack.urls()["database_url"], tasks[name])[BAD]
    assert not frames & set(range(FRAMES_EACH, 2 * FRAMES_EACH))
    assert frames >= set(range(UNCONFIRMED_SETS, FRAMES_EACH))
    assert frames >= set(range(2 * FRAMES_EACH + UNCONFIRMED_SETS, SETS))


def test_a_corrupt_clip_costs_no_more_than_its_time(stack, tasks):
    """What can be decoded of it is used, the clips around it nearly whole."""
    camera = stack.wait(tasks["corrupt"])["cameras"][BAD]
    assert 0 < camera["missing"] + camera["corrupt"] <= FRAMES_EACH + 2
    frames = frames_of(stack.urls()["database_url"], tasks["corrupt"])[BAD]
    assert frames >= set(range(2 * FRAMES_EACH + UNCONFIRMED_SETS, SETS))


def test_a_camera_without_recordings_is_missing_in_every_set(stack, tasks):
    """Its error names the folder where its sub-videos belong."""
    camera = stack.wait(tasks["no-folder"])["cameras"][BAD]
    assert (camera["frames"], camera["missing"]) == (0, SETS)
    assert f"no-folder/{BAD}/" in camera["error"]
    assert "upload" in camera["error"]


def test_without_any_playable_camera_the_task_fails_and_names_each(stack, tasks):
    """FAILED, with a bad file of every camera and what to do."""
    status = stack.wait(tasks["all-broken"])
    assert (status["status"], status["sets"]) == ("FAILED", 0)
    for camera_id in CAMERAS:
        assert f"all-broken/{camera_id}/sub_video_01.mp4" in status["error"]
    assert "upload" in status["error"]


def test_a_camera_of_other_size_and_rate_stands_where_it_did(stack, tasks):
    """A quarter of the pixels and 25 pictures a second give the same floor positions, no error."""
    status = stack.wait(tasks["smaller"])
    assert (status["status"], status["sets"]) == ("COMPLETED", SETS)
    camera = status["cameras"][BAD]
    assert (camera["missing"], camera["error"]) == (0, None)
    rows = fetch(
        stack.urls()["database_url"],
        "select frame_index, map_x, map_y, x2, y2 from tracking_events "
        "where task_id = $1 and camera_id = $2 and map_x is not null",
        tasks["smaller"],
        BAD,
    )
    errors = [
        np.linalg.norm(positions_m(r["frame_index"]) - (r["map_x"], r["map_y"]), axis=1).min()
        for r in rows
    ]
    assert len({r["frame_index"] for r in rows}) >= SETS - UNCONFIRMED_SETS
    assert np.median(errors) < 0.25
    assert max(r["x2"] for r in rows) <= SMALL[0]
    assert max(r["y2"] for r in rows) <= SMALL[1]


def test_a_camera_of_other_proportions_asks_for_its_calibration(stack, tasks):
    """It plays on, and says that its floor positions may be wrong and how to mend that."""
    status = stack.wait(tasks["squeezed"])
    assert (status["status"], status["sets"]) == ("COMPLETED", SETS)
    error = status["cameras"][BAD]["error"]
    for words in (BAD, "320x240", f"{WIDTH}x{HEIGHT}", "calibrate"):
        assert words in error


def test_nothing_is_wrong_with_whole_recordings(stack, tasks):
    """The same world undamaged has no error anywhere: the messages above are the damage's."""
    status = stack.wait(tasks["whole"])
    assert (status["status"], status["sets"], status["persons"]) == ("COMPLETED", SETS, 2)
    assert all(camera["error"] is None for camera in status["cameras"].values())
