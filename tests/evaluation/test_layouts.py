"""Folders are recognised by their files, read whole, and told what they lack."""

import json
import shutil

import numpy as np
import pytest

from homography.environment import load_environments
from plugins.errors import InvalidInputError
from plugins.evaluation.detected import read_published
from plugins.evaluation.footage import Area
from plugins.evaluation.layouts import layout_of, read_footage
from plugins.evaluation.methods import Found
from plugins.evaluation.report import ground_scores
from tests.evaluation.folders import write_detected, write_filmed


def read(folder, rate_hz=None):
    return read_footage(folder, load_environments(), rate_hz)


def test_boxes_without_pictures_are_read_as_they_are(tmp_path):
    """Size and rate from the note, frames from 0, boxes without scores as sure."""
    footage = read(write_detected(tmp_path / "walk"))
    assert (footage.layout, footage.rate_hz, footage.frames) == ("detections", 5.0, 3)
    assert {name: (p.width, p.height) for name, p in footage.planes.items()} == {
        "Left": (1600, 900),
        "Right": (1600, 900),
    }
    first = footage.detections[0]["Left"]
    assert first.boxes_xyxy.tolist() == [[701, 300, 801, 600]]
    assert first.scores.tolist() == [1]
    assert footage.truth.floor == {f: {"4": (f + 1.5, 2.5)} for f in range(3)}
    assert footage.area == Area(1.5, 3.5, 2.5, 2.5)


def test_a_rate_may_be_given(tmp_path):
    """It goes before the note's."""
    assert read(write_detected(tmp_path / "walk"), 25.0).rate_hz == 25


def test_an_area_beside_the_data_is_used(tmp_path):
    """evaluation.toml; one that cannot be read is named."""
    folder = write_detected(tmp_path / "walk")
    (folder / "evaluation.toml").write_text("area_m = [1, 6, 0, 3.5]")
    assert read(folder).area == Area(1, 6, 0, 3.5)
    (folder / "evaluation.toml").write_text("area_m = [6, 1, 0, 3.5]")
    with pytest.raises(InvalidInputError, match=r"evaluation\.toml"):
        read(folder)


def test_the_boxes_own_scores_are_kept_where_there_are_some(tmp_path):
    """Sorted, the best first."""
    folder = write_detected(tmp_path / "walk")
    lines = "1 -1 10 10 20 50 0.3\n1 -1 90 10 20 50 0.8\n"
    (folder / "DET_walk_Left.txt").write_text(lines)
    boxes = read(folder).detections[0]["Left"]
    assert boxes.scores == pytest.approx([0.8, 0.3])
    assert boxes.boxes_xyxy[0, 0] == 90


def test_videos_are_read_with_views_named_as_cameras(tmp_path):
    """Whole videos from the first frame on; only what is listed is scored."""
    footage = read(write_filmed(tmp_path / "blobs"))
    assert (footage.layout, footage.rate_hz, footage.frames) == ("videos", 10, 120)
    assert set(footage.truth.views) == {"north", "east", "south", "west"}
    assert not footage.truth.lists_everybody
    x, y = footage.truth.floor[0]["red"]
    px = footage.planes["north"].to_image([[x, y]])[0]
    left, _, right, foot = footage.truth.views["north"][0].boxes_xyxy[0]
    assert np.allclose(px, ((left + right) / 2, foot), atol=2)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("homographies.json", "homographies.json"),
        ("GT_walk_WORLD_CENTROID.txt", "GT_"),
        ("DET_walk_Left.txt", None),
    ],
)
def test_a_folder_is_told_what_it_lacks(tmp_path, name, what):
    """The layout it looks like and the missing file; one camera less is no mistake."""
    folder = write_detected(tmp_path / "walk")
    (folder / name).unlink()
    if what is None:
        assert list(read(folder).planes) == ["Right"]
        return
    with pytest.raises(InvalidInputError, match="detections") as error:
        read(folder)
    assert what in str(error.value)


def test_a_foreign_folder_is_told_all_layouts(tmp_path):
    """And a missing one that it is missing."""
    with pytest.raises(InvalidInputError, match=r"pseudo_gt.*DET_.*scene\.json"):
        layout_of(tmp_path)
    with pytest.raises(InvalidInputError, match="no folder"):
        layout_of(tmp_path / "gone")


def test_a_camera_without_calibration_is_named(tmp_path):
    """With those that have one."""
    folder = write_detected(tmp_path / "walk")
    shutil.copy(folder / "DET_walk_Left.txt", folder / "DET_walk_Top.txt")
    with pytest.raises(InvalidInputError, match=r"'Top'.*Left, Right"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("homographies.json", "{"),
        ("homographies.json", json.dumps({"cameras": {"Left": {}, "Right": {}}})),
        ("DET_walk_Left.txt", "1 2 3"),
        ("DET_walk_Left.txt", "one two"),
        ("GT_walk_WORLD_CENTROID.txt", "1 2 3"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named(tmp_path, name, content):
    """Whatever is wrong with it."""
    folder = write_detected(tmp_path / "walk")
    (folder / name).write_text(content)
    with pytest.raises(InvalidInputError, match=name):
        read(folder)


@pytest.mark.parametrize(("name", "idf1", "mota"), [("cmc1", 1.0, 1.0), ("cmc2", 0.967, 0.940)])
def test_published_tracks_score_what_is_published(test_data, name, idf1, mota):
    """The scoring itself: MV-GLMB-OC's tracks at half a metre, clipped to the covered area."""
    footage = read(test_data / name)
    assert footage.area == Area(2.03, 6.3, 0.0, 3.41)
    scores = ground_scores(footage, Found(floor=read_published(test_data / name)), 0.5)
    assert scores.idf1 == pytest.approx(idf1, abs=5e-4)
    assert scores.mota == pytest.approx(mota, abs=5e-4)
