"""A copy of a model with float pictures as input: nvinfer draws no uint8 ones."""

from pathlib import Path

import onnx

from plugins.errors import InvalidModelError
from plugins.inference.model_import import MODEL_FILE, serving_version


def serving_onnx(model_repository: Path, model: str) -> Path:
    """``model.onnx`` of the version that serves: the promoted one, else the newest.
    InvalidModelError where there is none.
    """
    version = serving_version(model_repository / model)
    if version is None or not (version / MODEL_FILE).is_file():
        raise InvalidModelError(
            f"{version or model_repository / model} has no {MODEL_FILE}: import one with `spoton "
            "models import`, or promote a version that has one"
        )
    return version / MODEL_FILE


def write_with_float_input(source: Path, target: Path) -> None:
    """Puts a Cast to uint8 behind the graph's only input, which becomes float."""
    model = onnx.load(source)
    (given,) = model.graph.input
    inner = f"{given.name}_uint8"
    for node in model.graph.node:
        node.input[:] = [inner if name == given.name else name for name in node.input]
    given.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    cast = onnx.helper.make_node("Cast", [given.name], [inner], to=onnx.TensorProto.UINT8)
    model.graph.node.insert(0, cast)
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)
