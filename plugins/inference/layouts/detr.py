"""RT-DETR and D-FINE as the model hub's ONNX exports have them: RGB/255, 640x640; ``logits``
[N, queries, classes] before the sigmoid, ``pred_boxes`` [N, queries, 4] centre and size, 0 to 1.

Sources: RT-DETR (Zhao et al. 2024) and D-FINE (Peng et al. 2024); person is COCO's class 0. They
need no suppression; ours only removes what they say twice.
"""

import numpy as np
import onnx

from plugins.errors import InvalidModelError
from plugins.inference.detection_graph import add_suppression
from plugins.inference.graph_surgery import (
    add_node,
    constant,
    dims_of,
    expect_value,
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
    run_source,
    size_of_file,
)

NAME = "detr"
LOGITS, BOXES = "logits", "pred_boxes"
DEFAULT_SIZE = (640, 640)
PERSON = 0


def choose_size(source: onnx.ModelProto, wanted: SizeHW | None) -> SizeHW:
    """The file's size; 640x640 where it leaves it open."""
    given = real_inputs(source)[0]
    expect_value(given, [None, 3, None, None], NAME)
    is_open = None in dims_of(given)[2:]
    return size_of_file(source, wanted or (DEFAULT_SIZE if is_open else None), first_axis=2)


def adapt(source: onnx.ModelProto, size_hw: SizeHW, score_floor: float) -> None:
    """Scale the pixels, turn boxes into xyxy pixels, score = sigmoid of the person column."""
    queries = _queries(source)
    free_the_names(source)
    replace_input(source, "images", size_hw, reverse_channels=False, std=(255.0, 255.0, 255.0))
    height, width = size_hw
    scale = constant(source, "scale", np.array([width, height, width, height], np.float32))
    # Half of the size to either side of the centre.
    corners = np.array(
        [[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32
    )
    xyxy = add_node(source, "MatMul", [BOXES, constant(source, "corners", corners)], "corner_boxes")
    boxes = add_node(source, "Mul", [xyxy, scale], "pixel_boxes")
    person = add_node(source, "Gather", [LOGITS, integers(source, PERSON)], "person_logit", axis=2)
    column = add_node(source, "Reshape", [person, integers(source, 0, -1)], "person_column")
    scores = add_node(source, "Sigmoid", [column], "person_scores")
    add_suppression(source, boxes, scores, queries, score_floor)


def reference(source: onnx.ModelProto, pictures: Picture) -> list[Answer]:
    """Candidates decoded in numpy."""
    tensors = (picture[None].astype(np.float32) / np.float32(255) for picture in pictures)
    found = run_source(source, tensors, [LOGITS, BOXES])
    return [_decoded(logits, boxes, pictures.shape[2:]) for logits, boxes in found]


def _decoded(logits: Floats, boxes: Floats, size_hw: tuple[int, ...]) -> Answer:
    centre, half = boxes[0, :, :2], boxes[0, :, 2:] / 2
    scale = np.array([size_hw[1], size_hw[0]] * 2, np.float32)
    xyxy = np.concatenate([centre - half, centre + half], axis=1) * scale
    return xyxy.astype(np.float32), np.asarray(1 / (1 + np.exp(-logits[0, :, PERSON])), np.float32)


def _queries(source: onnx.ModelProto) -> int:
    outputs = {value.name: value for value in source.graph.output}
    if not {LOGITS, BOXES} <= outputs.keys():
        raise InvalidModelError(
            f"the outputs are {', '.join(outputs)}, the layout detr expects {LOGITS} and {BOXES}: "
            "take the model hub's ONNX export"
        )
    expect_value(outputs[LOGITS], [None, None, None], NAME)
    queries = expect_value(outputs[BOXES], [None, None, 4], NAME)[1]
    return queries or dims_of(outputs[LOGITS])[1] or 300


LAYOUT = Layout(NAME, "person_detector", choose_size, adapt, reference)
