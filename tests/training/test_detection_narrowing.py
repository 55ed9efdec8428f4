"""A narrower network that learns from a wider one. Needs torch, which is in .venv-train alone."""

import msgspec
import numpy as np
import pytest
import simplejpeg

torch = pytest.importorskip("torch", reason="torch is in .venv-train alone: make train-setup")

from plugins.errors import InvalidInputError  # noqa: E402  # after the skip
from training.detection.export import export  # noqa: E402
from training.detection.loss import cells_of, distillation_loss  # noqa: E402
from training.detection.narrowing import narrowed  # noqa: E402
from training.detection.network import NECK, Detection  # noqa: E402
from training.detection.pictures import Stored  # noqa: E402
from training.detection.train import Recipe, load_trained, train  # noqa: E402

SIZE_HW = (64, 96)
WIDE = NECK + 16


@pytest.fixture
def teacher():
    return learnt(3)


def learnt(seed):
    torch.manual_seed(seed)
    network = Detection(neck=WIDE)
    torch.nn.init.normal_(network.score.weight, std=2.0)
    network.train()(torch.rand(4, 3, *SIZE_HW))
    return network.eval()


def silence(network, channels):
    """Nothing comes out of these channels of any layer of pyramid and head."""
    with torch.no_grad():
        for layer in (*network.lateral, *network.smooth, *network.head):
            layer[1].weight[channels] = 0
            layer[1].bias[channels] = 0


def test_channels_that_say_nothing_are_the_ones_left_out(teacher):
    """Without them the answers are the same to the last digits."""
    silence(teacher, torch.arange(5, 5 + WIDE - NECK))
    pictures = torch.rand(2, 3, *SIZE_HW)
    student = narrowed(teacher, pictures, NECK)
    with torch.no_grad():
        expected, found = teacher(pictures), student(pictures)
    assert expected[..., 4].std() > 0.02
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_teacher_must_be_wider(teacher):
    with pytest.raises(InvalidInputError, match=f"has {WIDE} channels: {WIDE} are not fewer"):
        narrowed(teacher, torch.rand(1, 3, *SIZE_HW), WIDE)


def test_who_answers_as_the_teacher_loses_nothing(teacher):
    """And any other score or place costs."""
    with torch.no_grad():
        taught = teacher(torch.rand(1, 3, *SIZE_HW))
    taught[..., 4] += 3.0 - taught[..., 4].max()
    cells = cells_of(*SIZE_HW)
    assert distillation_loss(taught, taught, cells) == pytest.approx(0, abs=1e-4)
    for column in (0, 3, 4):
        other = taught.clone()
        other[..., column] += 0.3
        assert distillation_loss(other, taught, cells) > 0.002


@pytest.fixture
def pictures(tmp_path):
    """A scene of one picture: a white person on black."""
    bgr = np.zeros((360, 640, 3), np.uint8)
    bgr[100:220, 300:360] = 255
    scene = [Stored(simplejpeg.encode_jpeg(bgr, colorspace="BGR"), [(300, 100, 360, 220, 1.0)])]
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "scene_0000000.msgpack").write_bytes(msgspec.msgpack.encode(scene))
    return folder


def test_pyramid_and_head_learn_and_the_rest_stays(teacher, pictures, tmp_path):
    """Broken off after a round, it goes on from there."""
    model = tmp_path / "wide.onnx"
    export(teacher, SIZE_HW, model)
    work = tmp_path / "work"
    heads = []
    for steps in (1, 2):
        [line] = train(Recipe(pictures, [0], steps, 0.0, teacher=model, batch=1), work)
        assert line.startswith(f"step {steps} ")
        stored = torch.load(work / "state.pt", weights_only=True)
        heads.append(stored["network"]["head.0.0.weight"])
    assert not torch.equal(*heads)
    trained = load_trained(work)
    assert (trained.steps, trained.samples, trained.network.neck) == (2, 2, NECK)
    first, last = teacher.stem[0][0].weight, trained.network.stem[0][0].weight
    folded = teacher.stem[0][1].weight / (teacher.stem[0][1].running_var + 1e-5).sqrt()
    torch.testing.assert_close(last, first * folded[:, None, None, None], rtol=1e-4, atol=1e-6)


def test_it_goes_on_with_the_same_teacher_alone(teacher, pictures, tmp_path):
    """Otherwise the card would name one who did not teach it all."""
    model, other, work = tmp_path / "wide.onnx", tmp_path / "other.onnx", tmp_path / "work"
    export(teacher, SIZE_HW, model)
    export(learnt(4), SIZE_HW, other)
    list(train(Recipe(pictures, [0], 1, 0.0, teacher=model, batch=1), work))
    for recipe in (
        Recipe(pictures, [0], 2, 0.0, batch=1),
        Recipe(pictures, [0], 2, 0.0, teacher=other, batch=1),
    ):
        with pytest.raises(InvalidInputError, match="begun with another --start or --teacher"):
            list(train(recipe, work))
