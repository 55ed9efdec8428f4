"""A copy of a model with float pictures as input: nvinfer draws no uint8 ones."""

from pathlib import Path

import onnx

from plugins.errors import InvalidModelError


def newest_onnx(model_repository: Path, model: str) -> Path:
    """``model.onnx`` of the highest version. InvalidModelError where there is none."""
    versions = [
        p for p in (model_repository / model).glob("*/model.onnx") if p.parent.name.isdigit()
    ]
    if not versions:
        raise InvalidModelError(
            f"{model_repository / model} has no model.onnx: import one with `spoton models import`"
        )
    return max(versions, key=lambda path: int(path.parent.name))


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
