"""Videos: the footage's own pictures in time, with the boxes that were stored and the plan."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from control_plane.exports.orders import VideoOrder
from control_plane.exports.process import make_file
from control_plane.settings import Settings
from plugins.errors import InvalidTimeRangeError
from plugins.media.overlays import colour_of
from tests.control_plane.stored_world import World, person_id
from tests.services import postgres_url
from tests.yard import write_yard

FRAMES = 40
BOX = (10, 20, 30, 90)  # as stored_world stores them


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, World]:
    """Four seconds of two cameras, and one person stored in them."""
    folder = tmp_path_factory.mktemp("videos")
    write_yard(folder, {"y1": (FRAMES,), "y2": (FRAMES,)})
    settings = Settings(database_url=postgres_url(), data_dir=folder, environments_dir=folder)
    way = {"ana": [(0, 2, 2), (5, 12, 12)]}
    world = World(way, FRAMES / 10, environment_id="yard", cameras=("y1", "y2"))
    world.store(str(settings.database_url))
    return settings, world


def video_of(settings: Settings, folder: Path, order: VideoOrder) -> tuple[Any, list[Any]]:
    """What was made, and its pictures."""
    made = make_file(settings, order, folder, lambda _: None)
    capture, pictures = cv2.VideoCapture(str(made.path)), []
    while (read := capture.read())[0]:
        pictures.append(read[1])
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert codec in {b"h264", b"avc1"}
    return made, pictures


def test_one_camera_shows_its_frames_one_by_one_with_the_stored_box(
    yard: tuple[Settings, World], tmp_path: Path
) -> None:
    settings, world = yard
    order = VideoOrder(world.task_id, ["y1"], with_map=False)
    made, pictures = video_of(settings, tmp_path, order)
    assert made.rows == len(pictures) == FRAMES
    assert made.covers.seconds == pytest.approx(FRAMES / 10)
    edge = np.array([p[60, BOX[0]].astype(int) for p in pictures])
    colour = np.array(colour_of(person_id("ana")))
    assert np.abs(edge - colour).mean() < 40


def test_several_cameras_stand_side_by_side_with_the_plan_in_the_corner(
    yard: tuple[Settings, World], tmp_path: Path
) -> None:
    settings, world = yard
    _, with_map = video_of(settings, tmp_path, VideoOrder(world.task_id))
    assert with_map[0].shape == (360, 1280, 3)
    _, without = video_of(settings, tmp_path, VideoOrder(world.task_id, with_map=False))
    corner = (slice(260, 340), slice(950, 1250))
    assert with_map[20][corner].mean() > 200, "the plan is light"
    assert np.abs(with_map[20][corner].astype(int) - without[20][corner]).mean() > 40


def test_a_range_begins_and_ends_where_it_was_asked_to(
    yard: tuple[Settings, World], tmp_path: Path
) -> None:
    settings, world = yard
    times = [world.start + timedelta(seconds=s) for s in (1.0, 2.5)]
    order = VideoOrder(world.task_id, ["y2"], *times, with_map=False)
    made, pictures = video_of(settings, tmp_path, order)
    assert len(pictures) == 15
    assert [made.covers.start_time, made.covers.end_time] == times
    _, whole = video_of(settings, tmp_path, VideoOrder(world.task_id, ["y2"], with_map=False))
    below = slice(100, 240)  # the box and the clock are above
    for part, same in zip(pictures, whole[10:25], strict=True):
        assert np.abs(part[below].astype(int) - same[below]).mean() < 3


def test_a_range_outside_the_recording_is_refused(
    yard: tuple[Settings, World], tmp_path: Path
) -> None:
    settings, world = yard
    times = [world.start + timedelta(days=d) for d in (1, 2)]
    with pytest.raises(InvalidTimeRangeError, match="2024-05-01T09:00:00"):
        make_file(settings, VideoOrder(world.task_id, [], *times), tmp_path, lambda _: None)
