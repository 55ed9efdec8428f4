"""CLIP's image tower comes in and serves; its weights alone are missing here.

The towers have random weights and one of the twelve blocks (the whole ones are 350 MB); every
other layer, and every width, is the real one's.
"""

import numpy as np
import onnxruntime
import pytest

from plugins.errors import InvalidModelError
from plugins.frames import Frame
from plugins.inference.embedder import Embedder
from plugins.inference.model_import import import_model
from plugins.inference.triton_client import Triton
from plugins.inference.triton_server import TritonServer
from tests.inference.clip_tower import DIMENSION, SIDE, write_clip_tower
from tests.triton_fixtures import empty_repository, require_triton

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32).reshape(3, 1, 1)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32).reshape(3, 1, 1)


@pytest.mark.parametrize("patch", [16, 32])
def test_the_projected_output_is_taken_and_pixels_are_normalised_as_clip_does(tmp_path, patch):
    """The same as the untouched tower gives to pixels prepared by hand, for both patch sizes."""
    source = write_clip_tower(tmp_path / "vision_model.onnx", patch, blocks=1)
    repository = empty_repository(tmp_path / "models")
    imported = import_model(source, "person_reid", "clip", repository, (SIDE, SIDE))
    crops = np.random.default_rng(1).integers(0, 256, (2, 3, SIDE, SIDE), np.uint8)
    tower = onnxruntime.InferenceSession(str(source))
    pixels = (crops.astype(np.float32) / 255 - MEAN) / STD
    (expected,) = tower.run(["image_embeds"], {"pixel_values": pixels})

    (found,) = onnxruntime.InferenceSession(str(imported.path)).run(None, {"crops": crops})

    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert found.shape == (2, DIMENSION)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert imported.record is not None
    assert imported.record.size == (SIDE, SIDE)


def test_the_tower_serves_unit_vectors_of_512_numbers(tmp_path):
    """Through the real server: crops of any shape, in batches, each its own vector."""
    python = require_triton()
    source = write_clip_tower(tmp_path / "vision_model.onnx", 32, blocks=1)
    repository = empty_repository(tmp_path / "models")
    import_model(source, "person_reid", "clip", repository, (SIDE, SIDE))
    server = TritonServer(python, repository, tmp_path / "runtime")
    triton = Triton(server.url, repository=repository)
    noise = np.random.default_rng(0).integers(0, 256, (384, 384), np.uint8)
    frame = Frame("c1", 0, 384, 256, noise)
    try:
        server.start()
        server.wait_ready()
        embedder = Embedder(triton)
        vectors = embedder.embed([(frame, (8.0 * n, 20.0, 8.0 * n + 60, 200.0)) for n in range(5)])
    finally:
        triton.close()
        server.close()

    assert vectors.shape == (5, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert len(np.unique(vectors.round(4), axis=0)) == 5


def test_a_tower_that_leaves_its_size_open_needs_one(tmp_path):
    source = write_clip_tower(tmp_path / "vision_model.onnx", 32, blocks=0)

    with pytest.raises(InvalidModelError, match="size open"):
        import_model(source, "person_reid", "clip", empty_repository(tmp_path / "models"))
