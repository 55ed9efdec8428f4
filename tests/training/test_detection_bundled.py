"""The detector that ships with the product, served as the product serves it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from control_plane.__main__ import main
from homography.environment import load_environments
from plugins.frames import Frame
from plugins.inference.detector import Detector
from plugins.inference.model_import import list_models
from plugins.inference.triton_client import Triton
from plugins.inference.triton_server import TritonServer
from tests.triton_fixtures import PROJECT, empty_repository, require_triton
from training.behaviour import simulate_walks
from training.camera_view import grade_of, view_of
from training.demo_room import demo_room
from training.detection.scoring import Answer, scored
from training.gait import Motion, bone_matrices
from training.people import make_people
from training.randomised.pictures import labelled
from training.render import Renderer

SEED, PEOPLE, MOMENTS, RATE_HZ = 90_210, 7, 6, 0.5
SHIPPED = PROJECT / "model_repository" / "person_detector" / "1"


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A server with the shipped detector alone."""
    python, folder = require_triton(), tmp_path_factory.mktemp("bundled")
    repository = empty_repository(folder / "model_repository")
    shutil.copytree(SHIPPED, repository / "person_detector" / "1")
    server = TritonServer(python, repository, folder / "runtime")
    server.start()
    server.wait_ready()
    triton = Triton(server.url, repository=repository)
    yield Detector(triton)
    triton.close()
    server.close()


def new_scene():
    """Two of the demo's cameras; people and ways that no other scene has."""
    environment = load_environments().environments["demo"]
    people = make_people(PEOPLE, SEED)
    walks = simulate_walks(demo_room(), people, MOMENTS, RATE_HZ, SEED)
    seconds = np.arange(MOMENTS) / RATE_HZ
    moving = zip(walks.position_m, walks.heading_rad, walks.speed_mps, walks.cycles, strict=True)
    bones = [
        bone_matrices(person, Motion(*own, seconds))
        for person, own in zip(people, moving, strict=True)
    ]
    views = [(view_of(camera), grade_of(k, SEED)) for k, camera in enumerate(environment.cameras)]
    renderer = Renderer(demo_room(), people, views[:2], passes=8)
    for moment in range(MOMENTS):
        yield from renderer.render(np.stack(bones)[:, moment], moment)
    renderer.release()


def test_people_of_a_new_scene_are_found(detector):
    """Nineteen of twenty people at least half visible are found, three boxes in four are people;
    ranked by score, nearly all people come before nearly all mistakes.
    """
    answers = []
    for picture in new_scene():
        truth = labelled(picture)
        height, width = picture.i420.shape[0] * 2 // 3, picture.i420.shape[1]
        [found] = detector.detect([Frame("c", 0, width, height, picture.i420)])
        seen = truth.visibility >= 0.5
        boxes = truth.boxes_xyxy[seen], truth.boxes_xyxy[~seen]
        answers.append(Answer(found.boxes_xyxy, found.scores, *boxes))

    score = scored(answers, 0.3)

    assert score.wanted > 20
    assert score.recall >= 0.95
    assert score.precision >= 0.78
    assert score.ap50 >= 0.95


def test_the_shipped_model_is_small_and_says_where_it_comes_from():
    """Version 1 is listed with its checksum, below 5 MB, a card beside it."""
    [shipped] = [
        model
        for model in list_models(PROJECT / "model_repository")
        if (model.model, model.version) == ("person_detector", 1)
    ]
    assert shipped.record is not None
    assert shipped.record.sha256 == shipped.sha256
    assert shipped.record.size == (288, 512)
    assert Path(shipped.path).stat().st_size < 5_000_000
    card = (SHIPPED / "CARD.md").read_text("utf-8")
    assert "Apache-2.0" in card
    assert "AP50" in card


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_the_command_lists_the_shipped_model(capsys, form):
    """``spoton models list`` names it, its version and the form it was imported from."""
    assert main(["models", "list", *form]) == 0
    shown = capsys.readouterr().out
    assert "person_detector" in shown
    assert "yolox" in shown
