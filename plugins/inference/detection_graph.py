"""The tail every detector gets: best candidates, suppression, a fixed number of rows."""

import numpy as np
import onnx
from onnx import TensorProto

from plugins.inference.graph_surgery import add_node, constant, integers, set_outputs

MAX_BOXES = 100
MAX_CANDIDATES = 300
IOU_THRESHOLD = 0.6
SCORE_FLOOR = 0.1


def add_suppression(
    model: onnx.ModelProto, boxes: str, scores: str, candidates: int, score_floor: float
) -> None:
    """Append non-maximum suppression and make ``boxes``, ``scores``, ``labels`` the outputs.

    ``boxes`` names a float32 [N, candidates, 4] tensor of xyxy pixels, ``scores`` a float32
    [N, candidates] one of person scores. Rows without a box are zero.
    """
    top = min(MAX_CANDIDATES, candidates)
    top_scores, top_boxes = _best(model, boxes, scores, top, "candidate")
    kept = _suppress(model, top_boxes, top_scores, score_floor)
    rows = min(MAX_BOXES, top)
    best_scores, best_boxes = _best(model, top_boxes, kept, rows, "best")
    _finish(model, best_boxes, best_scores, rows)


def _best(
    model: onnx.ModelProto, boxes: str, scores: str, count: int, name: str
) -> tuple[str, str]:
    """The ``count`` best scores, descending, and their boxes."""
    add_node(model, "Identity", [scores], f"{name}_in")
    top_scores = f"spoton/{name}_scores"
    rows = f"spoton/{name}_rows"
    model.graph.node.append(
        onnx.helper.make_node(
            "TopK",
            [f"spoton/{name}_in", integers(model, count)],
            [top_scores, rows],
            name=f"spoton/{name}_topk",
            axis=1,
        )
    )
    column = add_node(model, "Reshape", [rows, integers(model, 0, count, 1)], f"{name}_column")
    index = add_node(model, "Tile", [column, integers(model, 1, 1, 4)], f"{name}_index")
    top_boxes = add_node(model, "GatherElements", [boxes, index], f"{name}_boxes", axis=1)
    return top_scores, top_boxes


def _suppress(model: onnx.ModelProto, boxes: str, scores: str, score_floor: float) -> str:
    """Scores of shape [N, K] with those of suppressed boxes set to zero."""
    by_class = add_node(model, "Reshape", [scores, integers(model, 0, 1, -1)], "class_scores")
    iou = constant(model, "iou", np.array([IOU_THRESHOLD], np.float32))
    floor = constant(model, "floor", np.array([score_floor], np.float32))
    limit = integers(model, MAX_BOXES)
    picked = add_node(model, "NonMaxSuppression", [boxes, by_class, limit, iou, floor], "selected")
    where = add_node(model, "Gather", [picked, integers(model, 0, 2)], "picked", axis=1)
    values = add_node(model, "GatherND", [scores, where], "picked_scores")
    zeros = add_node(
        model, "Mul", [scores, constant(model, "zero", np.zeros(1, np.float32))], "no_scores"
    )
    return add_node(model, "ScatterND", [zeros, where, values], "kept_scores")


def _finish(model: onnx.ModelProto, boxes: str, scores: str, rows: int) -> None:
    """Pad to 100 rows, blank the boxes of empty rows, declare the outputs."""
    pads = constant(model, "pad_rows", np.array([0, 0, 0, MAX_BOXES - rows], np.int64))
    add_node(model, "Pad", [scores, pads], "scores")
    box_pads = constant(
        model, "pad_box_rows", np.array([0, 0, 0, 0, MAX_BOXES - rows, 0], np.int64)
    )
    padded = add_node(model, "Pad", [boxes, box_pads], "padded_boxes")
    sign = add_node(model, "Sign", ["scores"], "is_box")
    mask = add_node(model, "Reshape", [sign, integers(model, 0, MAX_BOXES, 1)], "box_mask")
    add_node(model, "Mul", [padded, mask], "boxes")
    none = add_node(model, "Sub", ["scores", "scores"], "label_zero")
    add_node(model, "Cast", [none], "labels", to=TensorProto.INT32)
    set_outputs(
        model,
        [
            ("boxes", TensorProto.FLOAT, ["batch", MAX_BOXES, 4]),
            ("scores", TensorProto.FLOAT, ["batch", MAX_BOXES]),
            ("labels", TensorProto.INT32, ["batch", MAX_BOXES]),
        ],
    )
