"""RTMDet, deployed by MMDeploy: BGR, mean and std per channel, suppression inside.

Its own suppression packs the whole batch into as many rows as the fullest picture needs; the
graph is cut before it, at the candidates, and gets ours.
"""

import copy
from collections.abc import Sequence

import numpy as np
import onnx

from plugins.errors import InvalidModelError
from plugins.inference.detection_graph import add_suppression
from plugins.inference.graph_surgery import (
    add_node,
    expect_value,
    free_the_names,
    integers,
    real_inputs,
    replace_input,
)
from plugins.inference.layouts.base import (
    Answer,
    Layout,
    Picture,
    SizeHW,
    multiple_of_32,
    run_source,
)

NAME = "rtmdet"
MEAN_BGR = (103.53, 116.28, 123.675)
STD_BGR = (57.375, 57.12, 58.395)
DEFAULT_SIZE = (320, 320)
STRIDES = (8, 16, 32)
PERSON = 0


def choose_size(source: onnx.ModelProto, wanted: SizeHW | None) -> SizeHW:
    """Any multiple of 32 unless the file is fixed; 320x320 by default."""
    size = multiple_of_32(wanted or DEFAULT_SIZE)
    expect_value(real_inputs(source)[0], [None, 3, *size], NAME)
    return size


def adapt(source: onnx.ModelProto, size_hw: SizeHW, score_floor: float) -> None:
    """Cut before the suppression, keep the person column, append ours."""
    free_the_names(source)
    suppression = _suppression(source)
    boxes, class_scores = suppression.input[0], suppression.input[1]
    replace_input(source, "images", size_hw, reverse_channels=True, mean=MEAN_BGR, std=STD_BGR)
    person = add_node(
        source, "Gather", [class_scores, integers(source, PERSON)], "person_class", axis=1
    )
    scores = add_node(source, "Reshape", [person, integers(source, 0, -1)], "person_scores")
    cells = sum(size_hw[0] // stride * (size_hw[1] // stride) for stride in STRIDES)
    add_suppression(source, boxes, scores, cells, score_floor)


def reference(source: onnx.ModelProto, pictures: Picture) -> list[Answer]:
    """Candidates that the untouched graph hands to its own suppression."""
    suppression = _suppression(source)
    names = [suppression.input[0], suppression.input[1]]
    opened = copy.deepcopy(source)
    for name in names:
        opened.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    mean = np.array(MEAN_BGR, np.float32).reshape(3, 1, 1)
    std = np.array(STD_BGR, np.float32).reshape(3, 1, 1)
    tensors = (((p[::-1].astype(np.float32) - mean) / std)[None] for p in pictures)
    return [(boxes[0], scores[0, PERSON]) for boxes, scores in run_source(opened, tensors, names)]


def _suppression(source: onnx.ModelProto) -> onnx.NodeProto:
    nodes: Sequence[onnx.NodeProto] = source.graph.node
    for node in nodes:
        if node.op_type == "NonMaxSuppression":
            return node
    raise InvalidModelError(
        "the file has no NonMaxSuppression: the layout rtmdet expects an MMDeploy export with "
        "suppression inside"
    )


LAYOUT = Layout(NAME, "person_detector", choose_size, adapt, reference)
