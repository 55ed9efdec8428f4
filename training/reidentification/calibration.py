"""Moves a model's cosines to where the tracker's thresholds are, without changing their order.

With ``shift`` s, a vector v of length 1 becomes (sqrt(s), sqrt(1 - s) v), again of length 1, and
each cosine c becomes s + (1 - s) c.
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from scipy.optimize import minimize
from scipy.special import expit

from plugins.inference.graph_surgery import constant, set_outputs

Floats = npt.NDArray[np.float32]

NINE_TO_ONE = float(np.log(9))
_OWN = "own_embeddings"


def fitting_shift(same: Floats, different: Floats, middle: float) -> float:
    """The shift that moves the cosine of equal error to ``middle``; 0 if it lies above already.

    ``same`` and ``different`` are cosines of pairs that show one and two people.
    """
    point = equal_error_cosine(same, different)
    return max(0.0, (middle - point) / (1 - point))


def equal_error_cosine(same: Floats, different: Floats) -> float:
    """Where as large a share of ``same`` lies below as of ``different`` above."""
    low, high = -1.0, 1.0
    same, different = np.sort(same), np.sort(different)
    for _ in range(40):
        point = (low + high) / 2
        below = np.searchsorted(same, point) / len(same)
        above = 1 - np.searchsorted(different, point) / len(different)
        low, high = (point, high) if below < above else (low, point)
    return (low + high) / 2


def odds_cosines(same: Floats, different: Floats) -> tuple[float, float]:
    """Where the odds that two crops show one person are nine to one, and where one to nine.

    By a logistic fit to the cosines of pairs that show one and two people, in which both kinds
    weigh the same.
    """
    cosines = np.concatenate([same, different]).astype(np.float64)
    is_same = np.repeat([1.0, 0.0], [len(same), len(different)])
    weights = np.repeat([0.5 / len(same), 0.5 / len(different)], [len(same), len(different)])

    def loss(line: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        logit = line[0] * cosines + line[1]
        off = weights * (expit(logit) - is_same)
        value = weights @ (np.logaddexp(0, logit) - is_same * logit)
        return float(value), np.array([off @ cosines, off.sum()])

    slope, offset = minimize(loss, [1.0, 0.0], jac=True, method="BFGS").x
    return float((NINE_TO_ONE - offset) / slope), float((-NINE_TO_ONE - offset) / slope)


def shifted(model: onnx.ModelProto, length: int, shift: float) -> onnx.ModelProto:
    """``model``, which keeps the embedder's contract with vectors of ``length``, with one more."""
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    for node in moved.graph.node:
        node.output[:] = [_OWN if name == "embeddings" else name for name in node.output]
    turn = np.eye(length, length + 1, 1, dtype=np.float32) * np.float32((1 - shift) ** 0.5)
    first = np.zeros(length + 1, np.float32)
    first[0] = shift**0.5
    inputs = [_OWN, constant(moved, "turn", turn), constant(moved, "first", first)]
    moved.graph.node.append(helper.make_node("Gemm", inputs, ["embeddings"], name="shift"))
    set_outputs(moved, [("embeddings", TensorProto.FLOAT, ["batch", length + 1])])
    return moved
