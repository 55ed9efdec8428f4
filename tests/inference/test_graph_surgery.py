"""A picture input before a foreign network's own: the answers stay what they were."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from plugins.inference.graph_surgery import replace_input
from tests.inference.toy_models import save

SIZE_HW = (6, 8)
MEAN, STD = (10.0, 100.0, 200.0), (20.0, 50.0, 90.0)


def one_convolution():
    return [helper.make_node("Conv", ["in", "w"], ["out"], pads=[1] * 4)]


def two_convolutions_with_the_same_weights():
    return [
        helper.make_node("Conv", ["in", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Conv", ["in", "w"], ["b"], pads=[1] * 4),
        helper.make_node("Add", ["a", "b"], ["out"]),
    ]


def a_convolution_of_each_channel():
    return [helper.make_node("Conv", ["in", "each"], ["out"], pads=[1] * 4, group=3)]


def a_convolution_beside_something_else():
    return [
        helper.make_node("Conv", ["in", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Mul", ["in", "in"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["out"]),
    ]


@pytest.mark.parametrize(
    ("nodes", "moves_pixels"),
    [
        (one_convolution, False),
        (two_convolutions_with_the_same_weights, False),
        (a_convolution_of_each_channel, True),
        (a_convolution_beside_something_else, True),
    ],
)
@pytest.mark.parametrize("scale", [{}, {"std": STD}, {"mean": MEAN, "std": STD}])
def test_channels_are_reversed_in_the_weights_where_that_can_be_done(
    tmp_path, nodes, moves_pixels, scale
):
    random = np.random.default_rng(5)
    weights = {"w": random.normal(size=(3, 3, 3, 3)), "each": random.normal(size=(3, 1, 3, 3))}
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    path = save(
        tmp_path / "m.onnx", nodes(), weights, ["batch", 3, *SIZE_HW], ["batch", 3, *SIZE_HW]
    )
    rgb = random.integers(0, 256, (2, 3, *SIZE_HW), dtype=np.uint8)
    mean, std = (
        np.reshape(scale.get(name, (usual,) * 3), (1, 3, 1, 1)).astype(np.float32)
        for name, usual in (("mean", 0), ("std", 1))
    )
    [expected] = run(onnx.load(path), {"in": (rgb[:, ::-1].astype(np.float32) - mean) / std})

    model = onnx.load(path)
    replace_input(model, "images", SIZE_HW, reverse_channels=True, **scale)

    [found] = run(model, {"images": rgb})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    assert ("Gather" in [node.op_type for node in model.graph.node]) == moves_pixels


def run(model, inputs):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)
