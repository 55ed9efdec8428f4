"""RT-DETR and D-FINE come in by the form of their hub exports."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from plugins.errors import InvalidModelError
from plugins.inference.model_import import import_model
from tests.inference.toy_models import yolox_file
from tests.triton_fixtures import empty_repository

QUERIES, SIDE = 8, 64


def detr_file(path):
    """Eight queries, one a strip of the picture; the redder the strip, the surer it is a person."""
    width = 1 / QUERIES
    boxes = np.array([[(k + 0.5) * width, 0.5, width, 0.5] for k in range(QUERIES)], np.float32)
    weights = {
        "red": np.array([20, 0, 0], np.float32).reshape(1, 3, 1, 1),
        "bias": np.array([-10], np.float32),
        "column": np.array([0, QUERIES, 1], np.int64),
        "zeros": np.array([[[0.0, 1.0]]], np.float32),
        "scale": np.array([[[1.0, -1.0]]], np.float32),
        "boxes": boxes[None],
        "none": np.zeros(1, np.float32),
    }
    pool = {"kernel_shape": [SIDE, SIDE // QUERIES], "strides": [SIDE, SIDE // QUERIES]}
    nodes = [
        helper.make_node("AveragePool", ["pixel_values"], ["strips"], **pool),
        helper.make_node("Conv", ["strips", "red", "bias"], ["redness"]),
        helper.make_node("Reshape", ["redness", "column"], ["person"]),
        helper.make_node("Mul", ["person", "scale"], ["logits"]),
        helper.make_node("Mul", ["person", "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["pred_boxes"]),
    ]
    outputs = {"logits": ["n", QUERIES, 2], "pred_boxes": ["n", QUERIES, 4]}
    graph = helper.make_graph(
        nodes,
        "detr",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_red_strip_is_a_person_where_its_query_says(tmp_path):
    """Centre and size become corners in pixels; logits become scores."""
    source = detr_file(tmp_path / "detr.onnx")
    repository = empty_repository(tmp_path / "models")
    imported = import_model(source, "person_detector", "detr", repository)
    pictures = np.zeros((2, 3, SIDE, SIDE), np.uint8)
    pictures[1, 0, :, 16:24] = 255

    boxes, scores, labels = onnxruntime.InferenceSession(str(imported.path)).run(
        None, {"images": pictures}
    )

    np.testing.assert_allclose(boxes[1, 0], [16, 16, 24, 48], atol=1e-3)
    np.testing.assert_allclose(scores[:, 0], [0, 1 / (1 + np.exp(-10))], atol=1e-4)
    assert not scores[1, 1:].any()
    assert not labels.any()


def test_another_kind_of_file_is_told_apart(tmp_path):
    source = yolox_file(tmp_path / "yolox.onnx")

    with pytest.raises(InvalidModelError, match="expects logits and pred_boxes"):
        import_model(source, "person_detector", "detr", empty_repository(tmp_path / "models"))
