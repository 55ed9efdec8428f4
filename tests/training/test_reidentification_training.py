"""People and rooms to learn from, and the parts of the training that need torch."""

import re

import numpy as np
import pytest

from homography.ground_plane import GroundPlane
from plugins.errors import InvalidInputError
from training.reidentification.crops import HEIGHT, WIDTH, render_scene
from training.reidentification.dataset import Batch
from training.reidentification.models import Model
from training.reidentification.record import Recipe
from training.reidentification.rooms import make_place
from training.reidentification.wardrobe import PEOPLE, dressed_people


def test_every_second_person_is_dressed_like_another_but_can_be_told_apart():
    people = dressed_people(5)

    assert len(people) == PEOPLE
    for one, other in zip(people[::2], people[1::2], strict=True):
        shares_top = other.top_colour == one.top_colour and other.cloth == one.cloth
        shares_legs = other.legs_colour == one.legs_colour and other.legs == one.legs
        assert shares_top or shares_legs
        assert other.twin_of == one.person_id
        differs = np.abs(np.subtract(one.legs_colour, other.legs_colour)).max() > 0.1
        assert differs or one.bag != other.bag or one.top_colour != other.top_colour


def test_each_seed_has_its_own_people_and_rooms_and_always_the_same():
    assert dressed_people(1) == dressed_people(1)
    assert dressed_people(1) != dressed_people(2)
    assert make_place(1).room == make_place(1).room
    assert make_place(1).room != make_place(2).room


@pytest.mark.parametrize("seed", range(8))
def test_cameras_hang_inside_their_room_and_see_its_middle(seed):
    place = make_place(seed)
    x0, y0, x1, y1 = place.room.bounds_m

    for camera, _ in place.cameras:
        plane: GroundPlane = camera.ground_plane
        x, y, z = plane.camera_centre_m
        assert x0 < x < x1
        assert y0 < y < y1
        assert 1.7 < z < place.room.ceiling_m
        ((u, v),) = plane.to_image([[(x0 + x1) / 2, (y0 + y1) / 2]])
        assert -0.5 * camera.width < u < 1.5 * camera.width
        assert v > 0


def test_a_scene_shows_its_people_from_several_cameras():
    """Crops of the stored size, most people seen by more than one camera, none hidden."""
    crops = render_scene(77, moments=2)

    assert crops.pixels.shape[1:] == (3, HEIGHT, WIDTH)
    assert len(crops) > 30
    assert crops.visibility.min() >= 0.35
    assert crops.person.min() >= 77 * PEOPLE
    seen_by = [len(set(crops.camera[crops.person == p])) for p in np.unique(crops.person)]
    assert np.mean(np.array(seen_by) > 1) > 0.3


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is installed by 'make train-setup' only")


def test_the_exported_graph_says_what_the_network_says(torch, tmp_path):
    """For any number of crops, and with vectors of length 1."""
    from training.reidentification.export import export  # noqa: PLC0415  # needs torch
    from training.reidentification.network import EmbeddingNetwork  # noqa: PLC0415  # idem

    torch.manual_seed(0)
    network = EmbeddingNetwork().eval()
    crops = np.random.default_rng(0).integers(0, 256, (5, 3, 128, 64), np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(crops)).numpy()

    export(network, tmp_path / "model.onnx")
    found = Model("exported", tmp_path / "model.onnx").embed(crops)

    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_loss_falls_when_people_move_apart(torch):
    from training.reidentification.loss import contrastive_loss  # noqa: PLC0415  # needs torch

    person = torch.tensor([0, 0, 1, 1])
    mixed = torch.nn.functional.normalize(torch.ones(4, 3), dim=1)
    apart = torch.eye(3)[[0, 0, 1, 1]]

    assert contrastive_loss(apart, person) < 0.01
    assert contrastive_loss(mixed, person) == pytest.approx(np.log(3), abs=1e-4)


def test_a_resumed_training_ends_as_if_it_had_not_been_broken_off(torch, tmp_path):
    from training.reidentification.train import Training  # noqa: PLC0415  # needs torch

    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    batches = [
        Batch(random.integers(0, 256, (8, 3, 128, 64), np.uint8), np.repeat([0, 1], 4))
        for _ in range(3)
    ]
    whole = Training(Recipe(steps=3), people=2)
    losses = [float(whole.advance(batch)) for batch in batches]

    first = Training(Recipe(steps=3), people=2)
    first.advance(batches[0])
    first.save(tmp_path)
    second = Training(Recipe(steps=3), people=2)
    second.resume(tmp_path)

    assert [float(second.advance(batch)) for batch in batches[1:]] == pytest.approx(
        losses[1:], rel=1e-4
    )


def test_a_checkpoint_that_is_damaged_or_older_is_refused_in_one_line(torch, tmp_path):
    from training.reidentification.train import CHECKPOINT, Training  # noqa: PLC0415  # needs torch

    older, path = Training(Recipe(), people=3), tmp_path / CHECKPOINT
    older.save(tmp_path)
    for content in (path.read_bytes(), path.read_bytes()[:1000], b""):
        path.write_bytes(content)
        with pytest.raises(InvalidInputError) as refused:
            Training(Recipe(), people=2).resume(tmp_path)
        assert re.fullmatch(rf"{re.escape(str(path))} is damaged or .*", str(refused.value))


@pytest.mark.parametrize("content", [b"{}", b'{"recipe": {"steps": "many"}}', b"", b"\xff"])
def test_a_record_of_a_run_that_is_damaged_or_older_is_refused_in_one_line(
    torch, tmp_path, content
):
    from training.reidentification.train import (  # noqa: PLC0415  # needs torch
        CHECKPOINT,
        load_run,
    )

    (tmp_path / CHECKPOINT).touch()
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"run\.json is damaged or .*begin in another"):
        load_run(tmp_path)
