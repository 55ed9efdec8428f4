"""``spoton evaluate`` and ``spoton explain`` as their users call them."""

import json
import re
import shutil

import cv2
import pytest

from control_plane.__main__ import main
from tests.blob_world import FRAMES, make_blob_world
from tests.evaluation.folders import write_detected, write_filmed
from tests.lab import import_models
from tests.stack import data_folder, last_json, spoton
from tests.triton_fixtures import require_triton

SCORED = {"idf1", "hota", "mota", "switches"}
ROWS = ("cross_camera", "ground_0.5m", "ground_1.0m", "ground_0.5m_lagged")
PERSONS = re.compile(r"[0-9a-f]{8}(?=-)")


@pytest.fixture
def spoton_here(monkeypatch, tmp_path, capsys):
    """Calls the command in this process; returns its status, last line decoded and stderr."""
    monkeypatch.setenv("SPOTON_DATA_DIR", str(tmp_path / "data"))

    def call(*arguments):
        status = main(arguments)
        done = capsys.readouterr()
        lines = done.out.strip().splitlines()
        return status, json.loads(lines[-1]) if lines else None, done.err

    return call


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    require_triton()
    return make_blob_world(tmp_path_factory.mktemp("blobs"))


def test_boxes_without_pictures_have_scores_on_the_floor_alone(spoton_here, tmp_path):
    """Every promised key is there; what has no truth is null."""
    folder = write_detected(tmp_path / "walk", frames=20)
    status, result, _ = spoton_here("evaluate", str(folder), "--json", "--area", "0,30,0,5")
    assert status == 0
    assert result["run"].keys() == {"sets", "dropped", "sets_per_s"}
    assert (result["run"]["sets"], result["run"]["dropped"]) == (20, 0)
    assert result["cameras"] is None
    assert result["cross_camera"] is None
    for row in ROWS[1:]:
        assert result[row].keys() >= SCORED
    assert result["area"] == [0, 30, 0, 5]


def test_a_folder_may_have_any_name_and_place(spoton_here, tmp_path):
    """The same scores from a copy whose folder and files are named otherwise."""
    folder = write_detected(tmp_path / "walk", frames=20)
    other = tmp_path / "a b" / "other"
    shutil.copytree(folder, other)
    for path in list(other.glob("*_walk_*")):
        path.rename(path.with_name(path.name.replace("_walk_", "_X_9_")))
    scores = [spoton_here("evaluate", str(f), "--json")[1] for f in (folder, other)]
    assert [one["source"] for one in scores] == ["walk", "other"]
    for row in ROWS:
        assert scores[0][row] == scores[1][row]


def test_methods_stand_beside_each_other(spoton_here, tmp_path):
    """Ours at the top, all under methods; nobody is told by appearance without pictures."""
    folder = write_detected(tmp_path / "walk", frames=20)
    _, result, _ = spoton_here("evaluate", str(folder), "--method", "all", "--json")
    assert list(result["methods"]) == ["ours", "nearest"]
    assert result["method"] == "ours"
    assert result["ground_0.5m"] == result["methods"]["ours"]["ground_0.5m"]
    status, _, error = spoton_here("evaluate", str(folder), "--method", "appearance")
    assert status == 1
    assert "no pictures" in error


def test_plots_are_pictures(tmp_path):
    """A floor plan and a timeline, each large enough to read."""
    folder, plots = write_detected(tmp_path / "walk", frames=20), tmp_path / "plots"
    with data_folder() as data_dir:
        done = spoton(
            *("evaluate", str(folder), "--plots", str(plots)), settings={}, data_dir=data_dir
        )
    assert done.returncode == 0, done.stderr
    written = sorted(plots.glob("*.png"))
    names = {"floor-ours-online", "floor-ours-settled", "ids-ours-online", "ids-ours-settled"}
    assert {path.stem for path in written} == names
    assert all(cv2.imread(str(path)).shape[1] > 800 for path in written)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere", "no folder"]),
        (["."], ["none of the layouts", "pseudo_gt.json", "DET_*.txt", "scene.json"]),
        (["walk", "--area", "1,2,3"], ["--area", "x0,x1,y0,y1"]),
        (["walk", "--rate", "0"], ["--rate"]),
        (["walk", "--boxes", "truth"], ["--boxes truth"]),
    ],
    ids=["no folder", "foreign folder", "area", "rate", "boxes"],
)
def test_what_cannot_be_evaluated_is_told_why(spoton_here, tmp_path, monkeypatch, arguments, words):
    """One line on stderr and a status of 1."""
    write_detected(tmp_path / "here" / "walk")
    monkeypatch.chdir(tmp_path / "here")
    status, result, error = spoton_here("evaluate", *arguments)
    assert (status, result) == (1, None)
    assert len(error.strip().splitlines()) == 1
    for word in words:
        assert word in error


def test_videos_go_through_decoder_and_models(world, tmp_path):
    """Two figures in four cameras: one id each over all views, on the floor and in each camera."""
    folder = write_filmed(tmp_path / "filmed")
    with data_folder() as data_dir:
        done = spoton(
            "evaluate", str(folder), "--json", settings=world.settings(), data_dir=data_dir
        )
    assert done.returncode == 0, done.stderr
    result = last_json(done.stdout)
    assert (result["run"]["sets"], result["run"]["dropped"]) == (FRAMES, 0)
    assert set(result["cameras"]) == {"north", "east", "south", "west"}
    for scores in (*result["cameras"].values(), *(result[row] for row in ROWS)):
        assert scores["idf1"] > 0.9, result
        assert scores["people"] == 2


def test_walkers_of_the_laboratory_stay_above_the_floor(test_data, tmp_path):
    """RTMDet and OSNet through Triton: cross-camera IDF1 on the listed views."""
    require_triton()
    import_models(tmp_path / "models", test_data, (320, 320))
    settings = {"SPOTON_MODEL_REPOSITORY": str(tmp_path / "models")}
    with data_folder() as data_dir:
        done = spoton(
            "evaluate", str(test_data / "lab4"), "--json", settings=settings, data_dir=data_dir
        )
    assert done.returncode == 0, done.stderr
    result = last_json(done.stdout)
    assert result["cross_camera"]["idf1"] >= 0.93, result["cross_camera"]
    assert result["cross_camera_lagged"]["idf1"] >= 0.93, result["cross_camera_lagged"]


def test_an_identity_of_a_task_is_explained(world, tmp_path):
    """Its story in order, why each track joined it, and a strip of pictures of it."""
    settings, out = world.settings(), tmp_path / "strips"
    with data_folder() as data_dir:
        played = spoton("run", "-e", "blobs", "--seed", "5", settings=settings, data_dir=data_dir)
        assert played.returncode == 0, played.stderr
        unknown = spoton("explain", "0123456", settings=settings, data_dir=data_dir)
        listed = spoton("explain", "--list", settings=settings, data_dir=data_dir)
        first = PERSONS.search(listed.stdout)[0]
        done = spoton(
            *("explain", first, "--out", str(out), "--json"), settings=settings, data_dir=data_dir
        )
    assert unknown.returncode == 1
    assert "0123456" in unknown.stderr
    assert done.returncode == 0, done.stderr
    told = last_json(done.stdout)
    assert set(told["cameras"]) == {"north", "east", "south", "west"}
    times = [line["media_time"] for line in told["story"]]
    assert times == sorted(times)
    kinds = {line["kind"] for line in told["story"]}
    assert {"new", "joined", "seen", "lost"} <= kinds
    strip = cv2.imread(told["strip"]).astype(int)
    redness, blueness = (strip[..., 2] - strip[..., 0]), (strip[..., 0] - strip[..., 2])
    counts = sorted([(redness > 60).sum(), (blueness > 60).sum()])
    assert counts[1] > 20 * max(counts[0], 1), "the strip shows both figures, or neither"
    assert told["problems"] == []
