"""The pictures that are kept of each person: the best, of the right person, a few per camera."""

import cv2
import numpy as np
import pytest

from plugins.encryption import Cipher
from plugins.frames import CropRequest, Frame, FrameSet
from plugins.messages import Track
from plugins.person_crops import PER_CAMERA, CropChooser, crop_purpose, cut_out
from plugins.processed_minutes import ProcessedMinutes

TASK = "6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33"
CIPHER = Cipher(1, {1: bytes(32)})
WIDTH, HEIGHT = 320, 240
BOX = (100.0, 20.0, 160.0, 200.0)
START_NS = 1_714_554_000_000_000_000


def frame(camera_id="c1", time_ns=START_NS):
    """Grey, with a red and a blue half in BOX."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    picture[20:110, 100:160] = (30, 30, 220)
    picture[110:200, 100:160] = (220, 60, 30)
    i420 = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
    return Frame(camera_id, time_ns, WIDTH, HEIGHT, i420)


def frame_set(index, camera_ids=("c1",)):
    frames = {c: frame(c) for c in camera_ids}
    return FrameSet(index, START_NS + index * 10**8, frames, 0.0)


def track(track_id, global_id, confidence=0.9, box=BOX):
    return Track(track_id, global_id, box, confidence, 0, None, None, False, "", 0.0)


def wanted(track_id=1, box=BOX):
    return [CropRequest("c1", track_id, box)]


def jpegs(rows):
    return [CIPHER.decrypt(row[-1], crop_purpose(TASK)) for row in rows]


@pytest.mark.parametrize("box", [BOX, (99.3, 19.1, 160.2, 200.7)])
def test_a_crop_shows_what_is_in_the_box(box):
    picture = cut_out(frame(), box)
    height, width = picture.shape[:2]
    assert (abs(width - 60) <= 4, abs(height - 180) <= 4) == (True, True)
    assert picture[height // 4, width // 2].tolist() == pytest.approx([30, 30, 220], abs=12)
    assert picture[3 * height // 4, width // 2].tolist() == pytest.approx([220, 60, 30], abs=12)


@pytest.mark.parametrize("box", [(10, 10, 12, 12), (-50, -50, -1, -1), (400, 10, 500, 100)])
def test_a_box_with_nothing_in_it_gives_no_crop(box):
    assert cut_out(frame(), box) is None


def test_boxes_over_the_border_are_cut_at_it():
    assert cut_out(frame(), (280.0, 200.0, 400.0, 300.0)).shape == (40, 40, 3)


def test_the_best_few_are_kept():
    """Of six, the three surest; what comes later must be better than those."""
    chooser = CropChooser(TASK, CIPHER)
    for index, confidence in enumerate([0.5, 0.9, 0.6, 0.8, 0.7, 0.55]):
        tracks = {"c1": [track(1, "ada", confidence)]}
        chooser.add(frame_set(index), tracks, wanted())
        chooser.settle(index, tracks)
    rows = chooser.take()
    assert len(rows) == PER_CAMERA
    assert [row[3] for row in rows] == [1, 3, 4]
    assert all(jpeg[:2] == b"\xff\xd8" for jpeg in jpegs(rows))
    for index, confidence in ((6, 0.65), (7, 0.95)):
        tracks = {"c1": [track(1, "ada", confidence)]}
        chooser.add(frame_set(index), tracks, wanted())
        chooser.settle(index, tracks)
    assert [row[3] for row in chooser.take()] == [7]


def test_a_crop_belongs_to_whoever_the_settled_set_says():
    """The tracker may correct itself before a set is settled; nobody's crop is dropped."""
    chooser = CropChooser(TASK, CIPHER)
    chooser.add(frame_set(0), {"c1": [track(1, "ada")]}, wanted())
    assert chooser.take() == []
    chooser.settle(0, {"c1": [track(1, "bob")]})
    assert [row[1] for row in chooser.take()] == ["bob"]
    chooser.add(frame_set(1), {"c1": [track(1, None)]}, wanted())
    chooser.settle(1, {"c1": [track(1, None)]})
    assert chooser.take() == []


def test_only_what_the_tracker_asked_for_is_cut_out():
    chooser = CropChooser(TASK, CIPHER)
    tracks = {"c1": [track(1, "ada"), track(2, "bob", box=(200.0, 20.0, 260.0, 200.0))]}
    chooser.add(frame_set(0), tracks, wanted(2))
    chooser.settle(0, tracks)
    assert [row[1] for row in chooser.take()] == ["bob"]


def test_minutes_count_sets_and_pictures_once():
    """A camera that gave no picture counts its sets, not its frames."""
    minutes = ProcessedMinutes(TASK, "hall")
    for index in range(590, 620):
        shown = ("c1", "c2") if index < 610 else ("c1",)
        minutes.add(frame_set(index, shown), ("c1", "c2"))
    first = {(row[1], row[4], row[5], row[6], row[7]) for row in minutes.take(604)}
    assert first == {("c1", 10, 10, 590, 599), ("c2", 10, 10, 590, 599),
                     ("c1", 5, 5, 600, 604), ("c2", 5, 5, 600, 604)}  # fmt: skip
    rest = {(row[1], row[4], row[5]) for row in minutes.take(10_000)}
    assert rest == {("c1", 15, 15), ("c2", 15, 5)}
    assert minutes.take(10_000) == []
