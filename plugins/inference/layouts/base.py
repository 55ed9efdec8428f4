"""What a layout offers, and the ways of running a source file that references share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from plugins.errors import InvalidModelError
from plugins.inference.graph_surgery import dims_of, real_inputs

ModelName = Literal["person_detector", "person_reid"]
SizeHW = tuple[int, int]
Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Answer = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of export.

    ``choose_size(source, wanted)`` gives the input's (height, width) or raises InvalidModelError.
    ``adapt(source, size_hw, score_floor)`` turns the source, in place, into a graph that keeps the
    contract. ``reference(source, pictures)`` runs the source on uint8 [N, 3, H, W] RGB pictures,
    one by one, with pre- and postprocessing in numpy: of each, a detector gives candidate boxes
    (K, 4) and person scores (K,) before suppression, an embedder one vector (D,) of length 1 and
    an empty array. The source stays as it is.
    """

    name: str
    model: ModelName
    choose_size: Callable[[onnx.ModelProto, SizeHW | None], SizeHW]
    adapt: Callable[[onnx.ModelProto, SizeHW, float], None]
    reference: Callable[[onnx.ModelProto, Picture], list[Answer]]


def run_source(
    source: onnx.ModelProto, tensors: Iterable[Floats], outputs: list[str] | None
) -> list[list[Floats]]:
    """Outputs of the source for each input tensor. It is opened once: it may be large."""
    session = onnxruntime.InferenceSession(
        source.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return [session.run(outputs, {name: tensor}) for tensor in tensors]


def normalised(vector: Floats) -> Floats:
    """The vector at length 1; zeros stay zeros."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if length else vector, np.float32)


def multiple_of_32(wanted: SizeHW) -> SizeHW:
    """``wanted`` if both sides are multiples of 32, InvalidModelError otherwise."""
    if all(side >= 32 and side % 32 == 0 for side in wanted):
        return wanted
    raise InvalidModelError(
        f"input size {wanted[0]}x{wanted[1]} cannot be used: height and width must be multiples "
        "of 32, for example 320x320 or 192x320"
    )


def size_of_file(source: onnx.ModelProto, wanted: SizeHW | None, *, first_axis: int) -> SizeHW:
    """Height and width the file fixes at ``first_axis``; ``wanted`` fills in what it leaves open.

    InvalidModelError if both say different things, or neither says anything.
    """
    dims = dims_of(real_inputs(source)[0])[first_axis : first_axis + 2]
    sides = [have or want for have, want in zip(dims, wanted or (None, None), strict=True)]
    height, width = sides
    if height is None or width is None:
        raise InvalidModelError("the file leaves its input size open: say which one with a size")
    if wanted is not None and (height, width) != tuple(wanted):
        raise InvalidModelError(
            f"the file's input is fixed at {height}x{width}, not {wanted[0]}x{wanted[1]}: "
            "leave the size out or export the model at that size"
        )
    return height, width
