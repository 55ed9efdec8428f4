"""How far two models agree, on cases counted by hand."""

import numpy as np
import pytest

from plugins.frames import Detections
from plugins.inference.agreement import box_agreement, matched_overlaps, vector_agreement


def boxes(*rows) -> Detections:
    array = np.array(rows, np.float32).reshape(-1, 4)
    return Detections(array, np.full(len(array), 0.9, np.float32))


def test_each_box_is_matched_once_and_best_pairs_first():
    """Two candidates over one box: one match; half overlapping in area is a third in union."""
    one = boxes((0, 0, 10, 10), (100, 0, 110, 10))
    other = boxes((0, 0, 10, 9), (0, 0, 10, 10), (105, 0, 115, 10))

    found = box_agreement([one], [other])

    assert (found.serving_boxes, found.candidate_boxes, found.matched) == (2, 3, 1)
    assert (found.found, found.confirmed) == (0.5, pytest.approx(1 / 3))
    assert found.mean_iou == pytest.approx(1.0)


def test_nothing_found_by_either_is_no_number():
    assert matched_overlaps(boxes().boxes_xyxy, boxes((0, 0, 1, 1)).boxes_xyxy) == []
    assert np.isnan(box_agreement([boxes()], [boxes()]).found)


def test_vectors_of_another_length_agree_by_their_pairs_alone():
    """A rotation into more dimensions changes every vector and no cosine between two of them."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(20, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    turned = vectors @ np.linalg.qr(generator.normal(size=(6, 6)))[0][:4].astype(np.float32)

    found = vector_agreement(vectors, turned)

    assert found.dimensions == (4, 6)
    assert np.isnan(found.median_cosine)
    assert found.pair_correlation == pytest.approx(1, abs=1e-4)
    assert vector_agreement(vectors, vectors).median_cosine == pytest.approx(1, abs=1e-5)
