"""Training samples: the truth moves with the picture, and the product sees the same pixels."""

import cv2
import numpy as np
import pytest

from plugins.errors import InvalidInputError
from plugins.frames import Frame
from plugins.inference.pictures import write_letterboxed
from training.detection.pictures import opened, read_scene, render_scenes, scene_files
from training.detection.samples import LEAST_VISIBLE, letterboxed, training_sample, zoomed
from training.randomised.pictures import Labelled

SIZE_HW = (160, 288)


def scene(visibility=1.0):
    """A white rectangle on black, with its box."""
    bgr = np.zeros((360, 640, 3), np.uint8)
    bgr[100:220, 300:360] = 255
    box = np.array([[300, 100, 360, 220]], np.float32)
    return Labelled(bgr, box, np.array([visibility], np.float32))


def white_box(bgr):
    rows, columns = np.nonzero(bgr.max(axis=2) > 127)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("seed", range(8))
def test_zooming_moves_boxes_with_the_pixels(seed):
    """Wherever the rectangle goes its box goes too; what leaves the frame is less visible."""
    random = np.random.default_rng(seed)
    result = zoomed(scene(), SIZE_HW, random)
    assert len(result.boxes_xyxy) == 1
    box = result.boxes_xyxy[0]
    x0, y0, x1, y1 = np.round(box).astype(int)
    assert result.bgr[y0:y1, x0:x1].mean() > 200
    assert 0 < result.visibility[0] <= 1
    if (box > 1).all() and (box < (287, 159, 287, 159)).all():
        assert result.visibility[0] == pytest.approx(1.0)


def test_a_sample_asks_for_the_visible_and_ignores_the_hidden():
    """Below the least visibility a person is ignored instead of wanted."""
    seen = letterboxed(scene(LEAST_VISIBLE + 0.01), SIZE_HW)
    hidden = letterboxed(scene(LEAST_VISIBLE - 0.01), SIZE_HW)
    assert (len(seen.boxes_xyxy), len(seen.ignored_xyxy)) == (1, 0)
    assert (len(hidden.boxes_xyxy), len(hidden.ignored_xyxy)) == (0, 1)


def test_a_letterboxed_sample_is_what_the_product_shows_its_detector():
    """Same place, same padding as the product's own letterbox."""
    sample = letterboxed(scene(), SIZE_HW)
    i420 = cv2.cvtColor(scene().bgr, cv2.COLOR_BGR2YUV_I420)
    pixels = np.empty((3, *SIZE_HW), np.uint8)
    place = write_letterboxed(Frame("c", 0, 640, 360, i420), pixels)
    shown = pixels[::-1].transpose(1, 2, 0).astype(int)
    assert np.abs(shown - sample.bgr.astype(int)).mean() < 3
    np.testing.assert_allclose(place.to_frame(sample.boxes_xyxy)[0], (300, 100, 360, 220), atol=2)
    np.testing.assert_allclose(white_box(sample.bgr), sample.boxes_xyxy[0], atol=1.5)


@pytest.mark.parametrize("count", [1, 4])
def test_samples_are_of_the_size_asked_for_and_repeat(count):
    """One picture or a mosaic: same generator, same sample, boxes within the frame."""
    first, again = (
        training_sample([scene()] * count, SIZE_HW, np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.bgr, again.bgr)
    assert first.bgr.shape == (*SIZE_HW, 3)
    assert (first.boxes_xyxy <= np.array([288, 160, 288, 160])).all()
    assert (first.boxes_xyxy >= 0).all()


@pytest.mark.parametrize(("visibility", "worth"), [(1.0, 1.0), (0.6, 2.0), (0.25, 1.0)])
def test_people_seen_in_part_are_worth_more(visibility, worth):
    """About half hidden counts twice, hardly hidden and hardly seen once."""
    assert letterboxed(scene(visibility), SIZE_HW).worth.tolist() == [worth]


def test_rendered_scenes_are_kept_and_read_back(tmp_path):
    """A scene's file holds its pictures with their truth; a second call does not make it anew."""
    assert list(render_scenes(tmp_path, range(1), moments=2)) == [0, 1]
    [path] = scene_files(tmp_path, range(5))
    made = path.stat().st_mtime_ns
    assert list(render_scenes(tmp_path, range(1), moments=2)) == [1]
    assert path.stat().st_mtime_ns == made
    pictures = [opened(stored) for stored in read_scene(path)]
    assert {picture.bgr.shape for picture in pictures} == {(360, 640, 3)}
    assert sum(len(picture.boxes_xyxy) for picture in pictures) > 4


def test_a_folder_without_scenes_is_refused_with_the_remedy(tmp_path):
    """The message names the folder and the command that fills it."""
    with pytest.raises(InvalidInputError, match=r"rendered scenes.*render"):
        scene_files(tmp_path, range(3))
