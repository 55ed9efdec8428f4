"""Small models made on the spot, in the shape of real exports, and pictures that they understand.

The toy detector scores how much redder than blue a cell is, so wrong colours or geometry show.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from plugins.frames import Frame

DETECTOR_SIZE = (64, 96)
CROP_SIZE = (64, 32)
DIMENSION = 8
RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (128, 128, 128)


def save(
    path: Path, nodes: list, weights: dict, input_shape: list, output_shape: list, opset: int = 11
) -> Path:
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    onnx.save(model, path)
    return path


def yolox_file(
    path: Path, size: tuple[int, int] = DETECTOR_SIZE, classes: int = 1, cells_wide: float = 2
) -> Path:
    """YOLOX-shaped, batch fixed at 1: a square round each red cell of stride 8."""
    nodes, weights = [], {}
    for level, stride in enumerate((8, 16, 32)):
        kernel = np.zeros((5 + classes, 3, 1, 1), np.float32)
        side = np.log(cells_wide)
        bias = np.array([0.5, 0.5, side, side, 0, *[0.9] * classes], np.float32)
        if level == 0:
            kernel[4, 2], kernel[4, 0] = 1 / 255, -1 / 255
        weights |= {f"w{level}": kernel, f"b{level}": bias}
        weights[f"s{level}"] = np.array([1, 5 + classes, -1], np.int64)
        pool = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes += [
            helper.make_node("AveragePool", ["in"], [f"p{level}"], **pool),
            helper.make_node("Conv", [f"p{level}", f"w{level}", f"b{level}"], [f"c{level}"]),
            helper.make_node("Reshape", [f"c{level}", f"s{level}"], [f"r{level}"]),
        ]
    nodes.append(helper.make_node("Concat", ["r0", "r1", "r2"], ["all"], axis=2))
    nodes.append(helper.make_node("Transpose", ["all"], ["out"], perm=[0, 2, 1]))
    cells = sum(size[0] // stride * (size[1] // stride) for stride in (8, 16, 32))
    return save(path, nodes, weights, [1, 3, *size], [1, cells, 5 + classes])


def osnet_file(path: Path, size: tuple[int, int] = CROP_SIZE, seed: int = 0) -> Path:
    """OSNet-shaped: random convolution, pooled."""
    generator = np.random.default_rng(seed)
    weights = {
        "w": generator.normal(size=(DIMENSION, 3, 4, 4)).astype(np.float32),
        "s": np.array([0, -1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["in", "w"], ["c"], strides=[4, 4]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Reshape", ["p", "s"], ["out"]),
    ]
    return save(path, nodes, weights, ["batch", 3, *size], ["batch", DIMENSION])


def openvino_file(path: Path) -> Path:
    """Channels last, batch fixed at 1, normalised over everything, batch axis included."""
    generator = np.random.default_rng(3)
    weights = {
        "w": generator.normal(size=(DIMENSION, 3, 4, 4)).astype(np.float32),
        "s": np.array([1, -1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["in"], ["m"], axes=[0, 1, 2, 3], keepdims=1),
        helper.make_node("Sub", ["in", "m"], ["d"]),
        helper.make_node("Transpose", ["d"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["c"], strides=[4, 4]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Reshape", ["p", "s"], ["out"]),
    ]
    return save(path, nodes, weights, [1, *CROP_SIZE, 3], [1, DIMENSION])


def frame_with(
    square_xyxy: tuple[int, int, int, int],
    colour: tuple[int, int, int],
    size_hw: tuple[int, int] = (256, 384),
    camera_id: str = "c01",
) -> Frame:
    """A grey frame with one square of an RGB colour."""
    rgb = np.full((*size_hw, 3), GREY, np.uint8)
    left, top, right, bottom = square_xyxy
    rgb[top:bottom, left:right] = colour
    i420 = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    return Frame(camera_id, 0, size_hw[1], size_hw[0], i420)
