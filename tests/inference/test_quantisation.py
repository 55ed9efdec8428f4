"""INT8 copies: calibrated on pictures, of the same shapes, close to the original."""

import onnx
import onnxruntime
import pytest

from plugins.errors import InvalidInputError
from plugins.inference.model_check import sample_pictures
from plugins.inference.model_import import import_model
from plugins.inference.quantisation import quantise
from tests.inference.toy_models import CROP_SIZE, osnet_file
from tests.triton_fixtures import empty_repository


@pytest.fixture
def installed(tmp_path):
    repository = empty_repository(tmp_path / "models")
    return import_model(osnet_file(tmp_path / "o.onnx"), "person_reid", "osnet", repository).path


def test_the_quantised_copy_says_nearly_the_same(installed, tmp_path):
    """Convolutions carry 8-bit ranges, symmetric as TensorRT wants them; all else is untouched."""
    pictures = sample_pictures(CROP_SIZE, 8)
    target = tmp_path / "int8.onnx"

    count = quantise(installed, target, iter([pictures[:4], pictures[4:]]))

    before, after = (
        onnxruntime.InferenceSession(str(path)).run(None, {"crops": pictures})[0]
        for path in (installed, target)
    )
    model = onnx.load(target)
    kinds = [node.op_type for node in model.graph.node]
    points = [t for t in model.graph.initializer if t.name.endswith("zero_point")]
    assert count == 8
    assert "QuantizeLinear" in kinds
    assert all(not onnx.numpy_helper.to_array(point).any() for point in points)
    assert (before * after).sum(axis=1).min() > 0.99


def test_without_pictures_nothing_is_written(installed, tmp_path):
    with pytest.raises(InvalidInputError, match="no pictures"):
        quantise(installed, tmp_path / "int8.onnx", iter([]))

    assert not (tmp_path / "int8.onnx").exists()
