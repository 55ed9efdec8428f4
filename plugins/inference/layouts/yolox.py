"""YOLOX, official export: BGR 0..255, raw output [1, cells, 5 + classes], not decoded.

Rows are cells of strides 8, 16 and 32, row by row: centre offset x, y and log size in units of
the stride, then objectness and class scores. Source: YOLOX demo/ONNXRuntime, ``demo_postprocess``.
"""

import numpy as np
import onnx

from plugins.errors import InvalidModelError
from plugins.inference.detection_graph import add_suppression
from plugins.inference.graph_surgery import (
    add_node,
    constant,
    expect_value,
    free_the_batch,
    free_the_names,
    integers,
    real_inputs,
    replace_input,
)
from plugins.inference.layouts.base import (
    Answer,
    Floats,
    Layout,
    Picture,
    SizeHW,
    multiple_of_32,
    run_source,
    size_of_file,
)

NAME = "yolox"
STRIDES = (8, 16, 32)
FIRST_CLASS = 5


def choose_size(source: onnx.ModelProto, wanted: SizeHW | None) -> SizeHW:
    """The file's size."""
    expect_value(real_inputs(source)[0], [None, 3, None, None], NAME)
    return multiple_of_32(size_of_file(source, wanted, first_axis=2))


def adapt(source: onnx.ModelProto, size_hw: SizeHW, score_floor: float) -> None:
    """Free the batch, decode cells to xyxy pixels, score = objectness times person."""
    raw = _raw_output(source, size_hw)
    free_the_names(source)
    free_the_batch(source)
    replace_input(source, "images", size_hw, reverse_channels=True)
    boxes = _decode(source, raw, size_hw)
    objectness = _columns(source, raw, 4, 5, "objectness")
    person = _columns(source, raw, FIRST_CLASS, FIRST_CLASS + 1, "person")
    product = add_node(source, "Mul", [objectness, person], "person_column")
    scores = add_node(source, "Reshape", [product, integers(source, 0, -1)], "person_scores")
    add_suppression(source, boxes, scores, len(_cells(size_hw)[1]), score_floor)


def reference(source: onnx.ModelProto, pictures: Picture) -> list[Answer]:
    """Candidates decoded in numpy."""
    tensors = (picture[::-1].astype(np.float32)[None] for picture in pictures)
    cells = _cells((pictures.shape[2], pictures.shape[3]))
    return [_decoded(raw[0], *cells) for (raw,) in run_source(source, tensors, None)]


def _decoded(raw: Floats, corners: Floats, strides: Floats) -> Answer:
    centre = (raw[:, :2] + corners) * strides
    half = np.exp(raw[:, 2:4]) * strides / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return boxes.astype(np.float32), raw[:, 4] * raw[:, FIRST_CLASS]


def _raw_output(source: onnx.ModelProto, size_hw: SizeHW) -> str:
    outputs = source.graph.output
    if len(outputs) != 1:
        raise InvalidModelError(
            f"the file has {len(outputs)} outputs, the layout yolox expects one: export YOLOX "
            "with the official tool, without --decode_in_inference"
        )
    cells = len(_cells(size_hw)[1])
    columns = expect_value(outputs[0], [None, cells, None], NAME)[2]
    if columns is not None and columns <= FIRST_CLASS:
        raise InvalidModelError(f"the output has {columns} columns, yolox needs 5 + classes")
    return str(outputs[0].name)


def _cells(size_hw: SizeHW) -> tuple[Floats, Floats]:
    """Cell corners (K, 2) as x, y in strides, and the stride (K, 1) of each cell."""
    corners, strides = [], []
    for stride in STRIDES:
        rows, columns = size_hw[0] // stride, size_hw[1] // stride
        y, x = np.mgrid[0:rows, 0:columns]
        corners.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _columns(model: onnx.ModelProto, raw: str, start: int, end: int, name: str) -> str:
    bounds = [integers(model, start), integers(model, end), integers(model, 2)]
    return add_node(model, "Slice", [raw, *bounds], name)


def _decode(model: onnx.ModelProto, raw: str, size_hw: SizeHW) -> str:
    corners, strides = _cells(size_hw)
    corner = constant(model, "cell_corners", corners[None])
    stride = constant(model, "cell_strides", strides[None])
    half_stride = constant(model, "cell_half_strides", strides[None] / 2)
    offset = add_node(model, "Add", [_columns(model, raw, 0, 2, "offset"), corner], "cell")
    centre = add_node(model, "Mul", [offset, stride], "centre")
    growth = add_node(model, "Exp", [_columns(model, raw, 2, 4, "log_size")], "size")
    half = add_node(model, "Mul", [growth, half_stride], "half_size")
    low = add_node(model, "Sub", [centre, half], "low_corner")
    high = add_node(model, "Add", [centre, half], "high_corner")
    return add_node(model, "Concat", [low, high], "decoded", axis=2)


LAYOUT = Layout(NAME, "person_detector", choose_size, adapt, reference)
