"""What frames bring along is used where it fits, and asked for anew where it does not."""

import numpy as np

from plugins.deepstream.inferred import GraphEmbedder, InferredFrame
from plugins.frames import Detections, Frame

BOXES = np.array([[0, 0, 40, 100], [60, 0, 100, 100]], np.float32)


class Reference:
    """Embeds every crop as (0, 1) and remembers which."""

    model_version = "person_reid/1/abc"

    def __init__(self, answer=(0.0, 1.0)) -> None:
        self.answer = answer
        self.asked: list = []

    def embed(self, crops):
        self.asked.append([box for _, box in crops])
        return np.array([self.answer] * len(crops), np.float32).reshape(-1, 2)


def frame(vectors) -> InferredFrame:
    detections = Detections(BOXES, np.array([0.9, 0.8], np.float32))
    pixels = np.zeros((180, 160), np.uint8)
    return InferredFrame(
        "c01", 0, 160, 120, pixels, detections=detections, vectors=np.array(vectors, np.float32)
    )


def crops(picture, *boxes):
    return [(picture, tuple(box)) for box in boxes]


def test_brought_vectors_are_taken_and_the_others_asked_for():
    """The box need not be exactly the detection's: tracking smooths it."""
    reference = Reference()
    picture = frame([[0.0, 1.0], [np.nan, np.nan]])
    embedder = GraphEmbedder(reference, check_every=1000)
    embedder.embed(crops(picture, (1, 1, 41, 99)))
    reference.asked.clear()

    vectors = embedder.embed(crops(picture, (1, 1, 41, 99), (60, 0, 100, 100)))

    assert reference.asked == [[(60, 0, 100, 100)]]
    np.testing.assert_array_equal(vectors, [[0.0, 1.0], [0.0, 1.0]])


def test_vectors_that_disagree_with_the_reference_are_left_alone():
    """As after a swap of the model: two models' vectors are never compared."""
    reference = Reference(answer=(1.0, 0.0))
    picture = frame([[0.0, 1.0], [0.0, 1.0]])
    embedder = GraphEmbedder(reference, check_every=2)

    first = embedder.embed(crops(picture, BOXES[0]))
    np.testing.assert_array_equal(first, [[1.0, 0.0]])

    reference.answer = (0.0, 1.0)
    embedder.embed(crops(picture, BOXES[0]))
    reference.asked.clear()
    embedder.embed(crops(picture, BOXES[0], BOXES[1]))
    np.testing.assert_array_equal(
        embedder.embed(crops(picture, BOXES[0], BOXES[1])), [[0.0, 1.0], [0.0, 1.0]]
    )
    assert reference.asked[-1] == []


def test_a_frame_without_results_is_embedded_by_the_reference():
    reference = Reference()
    plain = Frame("c01", 0, 160, 120, np.zeros((180, 160), np.uint8))
    vectors = GraphEmbedder(reference).embed(crops(plain, BOXES[0]))
    assert vectors.shape == (1, 2)
    assert GraphEmbedder(reference).embed([]).shape == (0, 2)
    assert GraphEmbedder(reference).model_version == "person_reid/1/abc"
