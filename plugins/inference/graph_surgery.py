"""Edits of ONNX graphs that every layout needs. All functions change the given model in place.

Only operators whose form is the same from opset 11 on are added (Reshape with 0 instead of
Unsqueeze, LpNormalization instead of ReduceL2), so the source's opset stays as it is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from plugins.errors import InvalidModelError

PREFIX = "spoton/"
TURNED = "turned/"
"""Between PREFIX and the name of weights whose channels were reversed."""
OLDEST_OPSET = 11
CONTRACT_NAMES = frozenset({"boxes", "scores", "labels", "embeddings"})
Dims = Sequence[int | str | None]


def require_opset(model: onnx.ModelProto) -> None:
    """InvalidModelError unless the graph is written in opset 11 or later."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or max(versions) < OLDEST_OPSET:
        raise InvalidModelError(
            f"the file uses ONNX opset {max(versions, default=0)}: export it again with opset "
            f"{OLDEST_OPSET} or later"
        )


def real_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Graph inputs that are not weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def dims_of(value: onnx.ValueInfoProto) -> list[int | None]:
    """Shape of an input or output; None where the file leaves it open."""
    shape = value.type.tensor_type.shape
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in shape.dim]


def expect_value(
    value: onnx.ValueInfoProto, wanted: Sequence[int | None], layout: str
) -> list[int | None]:
    """Shape of ``value`` if it is a float tensor of the ``wanted`` shape (None: any size).

    Sizes the file leaves open agree with any wanted size. InvalidModelError otherwise.
    """
    found = dims_of(value)
    is_float = value.type.tensor_type.elem_type == TensorProto.FLOAT
    agrees = len(found) == len(wanted) and all(
        have is None or want is None or have == want
        for have, want in zip(found, wanted, strict=True)
    )
    if is_float and agrees:
        return found
    raise InvalidModelError(
        f"'{value.name}' has shape {found}, the layout {layout} expects float32 {list(wanted)}: "
        "choose the layout the file was exported in"
    )


def constant(model: onnx.ModelProto, name: str, value: npt.NDArray[np.generic]) -> str:
    """Add a constant and return its name; the same name twice keeps the first."""
    full_name = PREFIX + name
    if full_name not in {tensor.name for tensor in model.graph.initializer}:
        model.graph.initializer.append(numpy_helper.from_array(value, full_name))
    return full_name


def integers(model: onnx.ModelProto, *values: int) -> str:
    """Add a 1-D int64 constant, named by its values, and return its name."""
    name = "int_" + "_".join(str(value) for value in values)
    return constant(model, name, np.array(values, np.int64))


def add_node(
    model: onnx.ModelProto, kind: str, inputs: Sequence[str], output: str, **attributes: Any
) -> str:
    """Append a node with one output and return that output's name."""
    name = output if output in CONTRACT_NAMES else PREFIX + output
    node = helper.make_node(kind, list(inputs), [name], name=PREFIX + output, **attributes)
    model.graph.node.append(node)
    return name


def free_the_names(model: onnx.ModelProto) -> None:
    """Move the source's own tensors out of the way of the contract's names."""
    for tensor in model.graph.initializer:
        if tensor.name in CONTRACT_NAMES:
            tensor.name = f"source/{tensor.name}"
    for node in model.graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name in CONTRACT_NAMES:
                    names[position] = f"source/{name}"


def replace_input(
    model: onnx.ModelProto,
    name: str,
    size_hw: tuple[int, int],
    *,
    reverse_channels: bool,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channels_last: bool = False,
) -> None:
    """Put a uint8 [batch, 3, H, W] RGB input called ``name`` before the source's only input.

    ``mean`` and ``std`` are in 0..255, in the source's own channel order; without them the source
    takes pixel values as they are. Channels are reversed in the weights where that can be done.
    """
    old = real_inputs(model)[0]
    picture = name
    head: list[onnx.NodeProto] = []

    def step(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        head.append(
            helper.make_node(kind, inputs, [PREFIX + output], PREFIX + output, **attributes)
        )
        return PREFIX + output

    source_name = _free_input_name(model, old.name, name)
    # First of all: TensorRT takes uint8 pictures only where a Cast follows at once.
    picture = step("Cast", [picture], "pixels", to=TensorProto.FLOAT)
    if reverse_channels and _turn_weights(model, source_name):
        mean, std = (None if values is None else values[::-1] for values in (mean, std))
    elif reverse_channels:
        picture = step("Gather", [picture, integers(model, 2, 1, 0)], "channels", axis=1)
    if mean is not None:
        picture = step("Sub", [picture, _per_channel(model, "mean", mean)], "centred")
    if std is not None:
        inverse = [1.0 / value for value in std]
        picture = step("Mul", [picture, _per_channel(model, "inverse_std", inverse)], "scaled")
    if channels_last:
        picture = step("Transpose", [picture], "channels_last", perm=[0, 2, 3, 1])
    _redirect(model, source_name, picture)
    body = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*head, *body])
    weights = [value for value in model.graph.input if value.name != old.name]
    del model.graph.input[:]
    value = helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", 3, *size_hw])
    model.graph.input.extend([value, *weights])


def _turn_weights(model: onnx.ModelProto, name: str) -> bool:
    """Makes the convolutions that read ``name`` take its channels the other way round; False, and
    nothing is changed, if anything else reads it, or a convolution without weights of its own.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = [node for node in model.graph.node if name in node.input]
    for node in readers:
        is_grouped = any(one.name == "group" and one.i != 1 for one in node.attribute)
        is_plain = node.op_type == "Conv" and node.domain in ("", "ai.onnx") and not is_grouped
        if not is_plain or node.input[1] not in weights:
            return False
    for node in readers:
        turned = numpy_helper.to_array(weights[node.input[1]])[:, ::-1]
        node.input[1] = constant(model, f"{TURNED}{node.input[1]}", np.ascontiguousarray(turned))
    return bool(readers)


def _free_input_name(model: onnx.ModelProto, old: str, new: str) -> str:
    """The source may already call its input by the contract's name."""
    if old != new:
        return old
    _redirect(model, old, f"source/{old}")
    return f"source/{old}"


def _redirect(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = new


def _per_channel(model: onnx.ModelProto, name: str, values: Sequence[float]) -> str:
    return constant(model, name, np.array(values, np.float32).reshape(1, 3, 1, 1))


def free_the_batch(model: onnx.ModelProto) -> None:
    """Make a graph exported for one picture take any number.

    Reshapes to [1, ...] become [0, ...] (keep the batch), and means over all axes leave the batch
    axis out: for one picture both are the same as before.
    """
    shapes = {tensor.name: tensor for tensor in model.graph.initializer}
    for position, node in enumerate(list(model.graph.node)):
        if node.op_type == "Reshape" and node.input[0] not in shapes and node.input[1] in shapes:
            target = numpy_helper.to_array(shapes[node.input[1]])
            if target.ndim == 1 and len(target) and target[0] == 1:
                node.input[1] = constant(
                    model, f"shape_{position}", np.array([0, *target[1:]], np.int64)
                )
        elif node.op_type.startswith("Reduce"):
            _leave_batch_out(node)


def _leave_batch_out(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name == "axes" and 0 in attribute.ints and len(attribute.ints) > 1:
            kept = [axis for axis in attribute.ints if axis != 0]
            attribute.ints[:] = kept


def set_outputs(
    model: onnx.ModelProto, outputs: Sequence[tuple[str, TensorProto.DataType, Dims]]
) -> None:
    """Declare the graph's outputs and forget nodes that no longer lead to one."""
    del model.graph.output[:]
    del model.graph.value_info[:]
    for name, kind, dims in outputs:
        model.graph.output.append(helper.make_tensor_value_info(name, kind, dims))
    _drop_unused(model)


def _drop_unused(model: onnx.ModelProto) -> None:
    needed = {value.name for value in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    inputs = [value for value in model.graph.input if value.name in needed]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
