"""The network with the weights of an exported model, to train on from there.

An export holds convolutions with their batch normalisation folded in. Here they come back as a
convolution and a normalisation that changes nothing but adds the bias; it must keep its statistics
(``keep_statistics``), or the first batch would undo what was learnt.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from plugins.errors import InvalidInputError
from plugins.inference.graph_surgery import PREFIX, TURNED
from training.detection.network import NECK, STRIDES, Detection

Folded = tuple[Tensor, Tensor]


def network_from_onnx(path: Path) -> Detection:
    """Answers as the model ``path`` does, which ``export`` or the import of its file wrote.

    Raises InvalidInputError where the file is missing or holds another network.
    """
    if not path.is_file():
        raise InvalidInputError(f"there is no model {path} to start from")
    folded = _folded(path)
    # The last convolution reads the head's last channels, whatever the network's width.
    network = Detection(neck=folded[-1][0].shape[1] if folded else NECK).eval()
    convolutions = _in_order(network)
    ours = [tuple(one.weight.shape) for one in convolutions]
    if ours != [tuple(weight.shape) for weight, _ in folded]:
        raise InvalidInputError(f"{path} is no export of training/detection/network.py")
    normalisations = _normalisations(network)
    with torch.no_grad():
        for convolution, (weight, bias) in zip(convolutions, folded, strict=True):
            convolution.weight.copy_(weight)
            after = normalisations.get(convolution)
            if after is not None:
                _only_add(after, bias)
            elif convolution.bias is not None:
                convolution.bias.copy_(bias)
    return network


def keep_statistics(network: nn.Module) -> None:
    """Normalisations go on with the statistics they have, also while the rest trains."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def _only_add(normalisation: nn.BatchNorm2d, bias: Tensor) -> None:
    normalisation.reset_running_stats()
    assert normalisation.running_var is not None  # noqa: S101  # it was made with one
    normalisation.running_var.fill_(1 - normalisation.eps)
    normalisation.weight.fill_(1.0)
    normalisation.bias.copy_(bias)


def _in_order(network: Detection) -> list[nn.Conv2d]:
    """Convolutions as they come to work, each once."""
    seen: dict[nn.Conv2d, None] = {}
    hooks = [
        part.register_forward_hook(lambda done, _in, _out: seen.setdefault(done))
        for part in network.modules()
        if isinstance(part, nn.Conv2d)
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 2 * STRIDES[-1], 2 * STRIDES[-1]))
    for hook in hooks:
        hook.remove()
    return list(seen)


def _normalisations(network: Detection) -> dict[nn.Conv2d, nn.BatchNorm2d]:
    """The normalisation behind each convolution that has one."""
    return {
        part[0]: part[1]
        for part in network.modules()
        if isinstance(part, nn.Sequential)
        and isinstance(part[0], nn.Conv2d)
        and isinstance(part[1], nn.BatchNorm2d)
    }


def _scale(graph: onnx.GraphProto) -> int:
    """What the first weights must be multiplied by for pictures of 0..1: earlier files scale the
    pictures before them.
    """
    first = next(k for k, node in enumerate(graph.node) if node.op_type == "Conv")
    return 1 if any(node.op_type == "Mul" for node in graph.node[:first]) else 255


def _folded(path: Path) -> list[Folded]:
    """Weight and bias of each convolution in the file's order, shared ones once; the first one's
    as the network has it: for channels in the order BGR, which the import may have turned, and
    for 0..1 instead of 0..255.
    """
    graph = onnx.load(str(path)).graph
    stored = {one.name: one for one in graph.initializer}
    names = dict.fromkeys(
        tuple(node.input[1:])
        for node in graph.node
        if node.op_type == "Conv" and all(name in stored for name in node.input[1:])
    )
    pairs = [[numpy_helper.to_array(stored[name]).copy() for name in own] for own in names]
    if pairs:
        turn = -1 if next(iter(names))[0].startswith(PREFIX + TURNED) else 1
        pairs[0][0] = np.ascontiguousarray(_scale(graph) * pairs[0][0][:, ::turn])
    return [(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in pairs]
