"""Foreign ONNX files come in adapted and checked, or not at all."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from plugins.errors import InvalidInputError, InvalidModelError
from plugins.inference.model_import import import_model, installed_versions, list_models
from tests.inference.toy_models import (
    CROP_SIZE,
    DETECTOR_SIZE,
    DIMENSION,
    openvino_file,
    osnet_file,
    save,
    yolox_file,
)
from tests.triton_fixtures import empty_repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return empty_repository(tmp_path / "model_repository")


def run(path: Path, pictures: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pictures})


def test_a_detector_finds_the_red_cell_of_each_picture_in_the_batch(tmp_path, repository):
    """Input is RGB although the source wants BGR, and the batch of 1 in the file is freed."""
    imported = import_model(yolox_file(tmp_path / "y.onnx"), "person_detector", "yolox", repository)
    pictures = np.zeros((3, 3, *DETECTOR_SIZE), np.uint8)
    pictures[0, 0, 16:24, 40:48] = 255
    pictures[1, 2, 16:24, 40:48] = 255
    pictures[2, 0, 56:64, 0:8] = 255

    boxes, scores, labels = run(imported.path, pictures)

    assert (boxes.shape, scores.shape, labels.shape) == ((3, 100, 4), (3, 100), (3, 100))
    assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int32)
    np.testing.assert_allclose(boxes[0, 0], [36, 12, 52, 28], atol=1e-3)
    np.testing.assert_allclose(scores[:, 0], [0.9, 0, 0.9], atol=1e-5)
    np.testing.assert_allclose(boxes[2, 0], [-4, 52, 12, 68], atol=1e-3)
    assert not boxes[0, 1:].any()
    assert not scores[0, 1:].any()
    assert not labels.any()


def two_neighbours() -> np.ndarray:
    picture = np.zeros((1, 3, *DETECTOR_SIZE), np.uint8)
    picture[0, 0, 16:24, 40:48] = 255
    picture[0, 0, 16:24, 48:56] = 128
    return picture


def test_of_boxes_that_mostly_overlap_the_best_stays(tmp_path, repository):
    """Boxes of 64 pixels, 8 apart, share 78 % of their union."""
    source = yolox_file(tmp_path / "y.onnx", cells_wide=8)
    imported = import_model(source, "person_detector", "yolox", repository)

    scores = run(imported.path, two_neighbours())[1][0]

    np.testing.assert_allclose(scores[:2], [0.9, 0], atol=1e-5)


def test_boxes_that_overlap_a_little_stay_and_weak_ones_go(tmp_path, repository):
    """Boxes of 16 pixels, 8 apart, share a third of their union; 0.05 is under the floor."""
    imported = import_model(yolox_file(tmp_path / "y.onnx"), "person_detector", "yolox", repository)
    picture = two_neighbours()
    picture[0, 0, 48:56, 80:88] = 14

    scores = run(imported.path, picture)[1][0]

    np.testing.assert_allclose(scores[:3], [0.9, 0.9 * 128 / 255, 0], atol=1e-5)


def test_more_than_a_hundred_candidates_keep_the_best_hundred_in_order(tmp_path, repository):
    size = (128, 160)
    source = yolox_file(tmp_path / "y.onnx", size)
    imported = import_model(source, "person_detector", "yolox", repository)
    rng = np.random.default_rng(1)
    cells = rng.integers(60, 256, (16, 20), np.uint8)
    picture = np.zeros((1, 3, *size), np.uint8)
    picture[0, 0] = cells.repeat(8, axis=0).repeat(8, axis=1)

    scores = run(imported.path, picture)[1][0]

    best = np.sort(cells.ravel())[::-1][:100] / 255 * 0.9
    np.testing.assert_allclose(scores, best, atol=1e-5)


def test_an_embedder_gives_vectors_of_length_one_whatever_the_batch(tmp_path, repository):
    imported = import_model(osnet_file(tmp_path / "o.onnx"), "person_reid", "osnet", repository)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, *CROP_SIZE), np.uint8)

    (together,) = run(imported.path, pictures)
    (alone,) = run(imported.path, pictures[4:])

    assert together.shape == (5, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(alone[0], together[4], atol=1e-5)


def test_a_model_that_averages_over_the_batch_is_cured(tmp_path, repository):
    """Exports with a batch of 1 may take means over the batch axis; crops must not mix."""
    source = openvino_file(tmp_path / "v.onnx")
    imported = import_model(source, "person_reid", "openvino-reid", repository)
    dark = np.full((1, 3, *CROP_SIZE), 10, np.uint8)
    dark[0, :, 8:20, 5:9] = 60
    bright = np.random.default_rng(2).integers(100, 256, (1, 3, *CROP_SIZE), np.uint8)

    (together,) = run(imported.path, np.concatenate([dark, bright]))

    np.testing.assert_allclose(together[0], run(imported.path, dark)[0][0], atol=1e-5)


def test_a_clip_tower_is_normalised_with_its_own_mean(tmp_path, repository):
    """A picture of CLIP's mean colour is zero inside: the same as for the source."""
    source = osnet_file(tmp_path / "clip.onnx", (224, 224), seed=5)
    imported = import_model(source, "person_reid", "clip", repository)
    pictures = np.random.default_rng(4).integers(0, 256, (2, 3, 224, 224), np.uint8)
    mean = np.array([0.48145466, 0.4578275, 0.40821073]).reshape(3, 1, 1)
    std = np.array([0.26862954, 0.26130258, 0.27577711]).reshape(3, 1, 1)
    (expected,) = run(source, ((pictures / 255 - mean) / std).astype(np.float32))

    (found,) = run(imported.path, pictures)

    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_versions_count_up_and_say_where_they_came_from(tmp_path, repository):
    source = yolox_file(tmp_path / "y.onnx")
    first = import_model(source, "person_detector", "yolox", repository)
    second = import_model(source, "person_detector", "yolox", repository)
    import_model(osnet_file(tmp_path / "o.onnx"), "person_reid", "osnet", repository)

    listed = list_models(repository)

    assert (first.version, second.version) == (1, 2)
    assert [(each.model, each.version) for each in listed] == [
        ("person_detector", 1),
        ("person_detector", 2),
        ("person_reid", 1),
    ]
    record = listed[1].record
    assert record is not None
    assert (record.layout, record.size, record.labels) == ("yolox", DETECTOR_SIZE, ["person"])
    assert record.source_name == "y.onnx"
    assert listed[0].sha256 == listed[1].sha256 != listed[2].sha256
    assert not (repository / ".staging").exists()


def test_an_engine_without_a_record_is_listed_by_its_content(tmp_path, repository):
    """Someone may put a TensorRT plan in by hand."""
    folder = repository / "person_reid" / "4"
    folder.mkdir()
    (folder / "model.plan").write_bytes(b"plan")
    (repository / "person_reid" / "5").mkdir()

    (listed,) = list_models(repository)

    assert (listed.version, listed.path.name, listed.record) == (4, "model.plan", None)
    assert listed.sha256 == hashlib.sha256(b"plan").hexdigest()


def one_node(path: Path, shape_in: list, shape_out: list, opset: int = 11) -> Path:
    return save(
        path, [onnx.helper.make_node("Relu", ["in"], ["out"])], {}, shape_in, shape_out, opset
    )


@pytest.mark.parametrize(
    ("make", "model", "layout", "size", "says"),
    [
        (lambda p: p.write_bytes(b"junk"), "person_detector", "yolox", None, "not a readable ONNX"),
        (lambda _: None, "person_detector", "yolox", None, "no such file"),
        (yolox_file, "person_detector", "rtmdet", DETECTOR_SIZE, "no NonMaxSuppression"),
        (yolox_file, "person_detector", "osnet", None, "choose one of detr, rtmdet, yolox"),
        (yolox_file, "person_detector", "yolox", (128, 128), "fixed at 64x96"),
        (yolox_file, "person_reid", "osnet", None, "expects float32"),
        (osnet_file, "person_detector", "yolox", None, "expects float32"),
        (osnet_file, "person_reid", "openvino-reid", None, "expects float32"),
        (
            lambda p: one_node(p, [1, 3, 64, 96], [1, 3, 64, 96]),
            "person_detector",
            "yolox",
            None,
            "expects float32",
        ),
        (
            lambda p: one_node(p, [1, 3, 64, 96], [1, 3, 64, 96], 9),
            "person_detector",
            "yolox",
            None,
            "opset 9",
        ),
        (
            lambda p: yolox_file(p, (80, 80)),
            "person_detector",
            "yolox",
            None,
            "multiples of 32",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(
    tmp_path, repository, make, model, layout, size, says
):
    """The message names the file and the reason, and the repository stays as it was."""
    source = tmp_path / "given.onnx"
    make(source)

    with pytest.raises(InvalidModelError, match=says) as caught:
        import_model(source, model, layout, repository, size)

    assert str(source) in str(caught.value)
    assert installed_versions(repository / model) == []


def test_a_model_that_gives_one_answer_to_everything_is_refused(tmp_path, repository):
    nodes = [
        onnx.helper.make_node("Mul", ["in", "zero"], ["z"]),
        onnx.helper.make_node("GlobalAveragePool", ["z"], ["p"]),
        onnx.helper.make_node("Reshape", ["p", "s"], ["flat"]),
        onnx.helper.make_node("Add", ["flat", "one"], ["out"]),
    ]
    weights = {"zero": np.zeros(1, np.float32), "one": np.ones(1, np.float32)}
    weights["s"] = np.array([0, -1], np.int64)
    source = save(tmp_path / "c.onnx", nodes, weights, ["n", 3, 64, 32], ["n", 3])

    with pytest.raises(InvalidModelError, match="same embedding"):
        import_model(source, "person_reid", "osnet", repository)


def test_a_folder_that_is_no_repository_is_named(tmp_path):
    source = yolox_file(tmp_path / "y.onnx")

    with pytest.raises(InvalidInputError, match=r"nowhere.*config\.pbtxt"):
        import_model(source, "person_detector", "yolox", tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="nowhere"):
        list_models(tmp_path / "nowhere")
