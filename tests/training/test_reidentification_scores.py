"""Scores of embedders on vectors whose right answer is known, and the shift of their cosines."""

import numpy as np
import onnx
import onnxruntime
import pytest

from plugins.inference.model_check import check_embedder
from plugins.inference.model_import import import_model
from tests.inference.toy_models import CROP_SIZE, osnet_file
from tests.triton_fixtures import empty_repository
from training.reidentification.calibration import (
    equal_error_cosine,
    fitting_shift,
    odds_cosines,
    shifted,
)
from training.reidentification.metrics import Labels, average_precision, pair_cosines, score
from training.reidentification.models import Model

LIMITS = (0.7, 0.5)


def labels(person, camera, scene=None) -> Labels:
    zeros = [0] * len(person)
    columns = (person, camera, zeros if scene is None else scene)
    return Labels(*(np.array(column, np.int64) for column in columns))


def directions(*degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def test_crops_of_the_own_camera_are_no_answers():
    """The nearest crop shows the same person in the same camera; what counts is the other camera,
    and there somebody else is nearer.
    """
    vectors = directions(0, 1, 40, 10)

    found = score(vectors, labels([1, 1, 1, 2], [0, 0, 1, 1]), LIMITS)

    assert found.queries == 3
    assert found.rank1 == pytest.approx(1 / 3)


def test_people_of_other_scenes_are_no_answers():
    """Each crop has a twin in the other scene, under another number and nearer than its own."""
    vectors = directions(0, 30, 90, 31, 1, 120)
    people = labels([1, 1, 2, 5, 5, 6], [0, 1, 1, 0, 1, 1], [0, 0, 0, 1, 1, 1])

    found = score(vectors, people, LIMITS)

    assert found.rank1 == 1.0
    assert found.queries == 4


def test_somebody_whom_one_camera_alone_shows_is_no_query():
    found = score(directions(0, 2, 50), labels([1, 1, 2], [0, 1, 0]), LIMITS)

    assert found.queries == 2


def test_shares_of_pairs_on_either_side_of_the_thresholds():
    """Persons 20 and 70 degrees apart from each other: cosines 0.94 and 0.34, and of others."""
    vectors = directions(0, 20, 180, 250)

    found = score(vectors, labels([1, 1, 2, 2], [0, 1, 0, 1]), LIMITS)

    assert (found.confirmed, found.missed) == (0.5, 0.5)
    assert (found.confused, found.kept_apart) == (0.0, 1.0)


def test_average_precision_of_a_known_ranking():
    """Hits on places 1, 3 and 4: (1/1 + 2/3 + 3/4) / 3."""
    hits = np.array([True, False, True, True, False])

    assert average_precision(hits) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_each_pair_of_two_cameras_counts_once():
    same, different = pair_cosines(directions(0, 60, 90), labels([1, 1, 2], [0, 1, 1]))

    np.testing.assert_allclose(same, [0.5], atol=1e-6)
    np.testing.assert_allclose(different, [0.0], atol=1e-6)


def test_the_shift_puts_equal_errors_where_the_tracker_expects_them():
    """Moved cosines have as many of one person below the middle as of two people above it."""
    random = np.random.default_rng(0)
    same = random.normal(0.5, 0.15, 4000).clip(-1, 1)
    different = random.normal(0.1, 0.15, 9000).clip(-1, 1)

    shift = fitting_shift(same, different, 0.6)

    moved_same, moved_different = (shift + (1 - shift) * c for c in (same, different))
    assert (moved_same < 0.6).mean() == pytest.approx((moved_different > 0.6).mean(), abs=0.002)
    assert equal_error_cosine(same, different) == pytest.approx(0.3, abs=0.02)


def test_cosines_that_are_high_already_stay():
    """A shift only raises; a model whose middle lies above the tracker's gets none."""
    assert fitting_shift(np.array([0.95]), np.array([0.9]), 0.6) == 0.0


def test_nine_to_one_is_where_two_normal_distributions_have_it():
    """Of equal spread s, the log-odds are (m1 - m2) / s² times the distance from the middle; how
    many pairs there are of either kind changes nothing.
    """
    generator = np.random.default_rng(5)
    same = generator.normal(0.7, 0.1, 4000).astype(np.float32)
    different = generator.normal(0.4, 0.1, 40000).astype(np.float32)

    upper, lower = odds_cosines(same, different)

    away = np.log(9) * 0.1**2 / 0.3
    assert upper == pytest.approx(0.55 + away, abs=0.01)
    assert lower == pytest.approx(0.55 - away, abs=0.01)


def test_a_shifted_graph_moves_its_cosines_and_keeps_the_contract(tmp_path):
    """One number more in each vector, every cosine c becomes 0.36 + 0.64 c."""
    repository = empty_repository(tmp_path / "model_repository")
    source = osnet_file(tmp_path / "osnet.onnx")
    path = import_model(source, "person_reid", "osnet", repository).path
    crops = np.random.default_rng(0).integers(0, 256, (5, 3, *CROP_SIZE), np.uint8)
    before = Model("before", path).embed(crops)

    onnx.save(shifted(onnx.load(path), before.shape[1], 0.36), tmp_path / "moved.onnx")

    check_embedder(onnxruntime.InferenceSession(str(tmp_path / "moved.onnx")))
    after = Model("after", tmp_path / "moved.onnx").embed(crops)
    assert after.shape == (5, before.shape[1] + 1)
    np.testing.assert_allclose(after @ after.T, 0.36 + 0.64 * before @ before.T, atol=1e-5)
