"""A detector with a narrower pyramid and head, cut out of a wider one.

Of each layer's channels those are kept that are loudest by what their readers make of them: the
energy of the signal, summed over the layers that read it, times that of their weights for it. What
then learns to answer as the wider one does (``distillation_loss``) is the pyramid and the head
alone: whatever comes before them stays as it is.
"""

from typing import TypeAlias

import torch
from torch import Tensor, nn

from plugins.errors import InvalidInputError
from training.detection.network import Detection

_ALL = slice(None)
Kept: TypeAlias = "Tensor | slice"


@torch.no_grad()
def narrowed(teacher: Detection, pictures: Tensor, neck: int) -> Detection:
    """``neck`` of the teacher's channels, chosen by ``pictures`` (N, 3, H, W) 0..1, BGR.

    InvalidInputError where the teacher has no more than that.
    """
    if teacher.neck <= neck:
        raise InvalidInputError(
            f"the teacher's pyramid has {teacher.neck} channels: {neck} are not fewer"
        )
    student = Detection(neck=neck).eval()
    for name in ("stem", "stages", "context"):
        getattr(student, name).load_state_dict(getattr(teacher, name).state_dict())
    inputs: Kept = _ALL
    for ours, theirs, outputs in zip(
        _layers(student), _layers(teacher), [*_kept(teacher, pictures, neck), _ALL], strict=True
    ):
        for target, source in zip(ours, theirs, strict=True):
            _copy(target, source, outputs, inputs)
        inputs = outputs
    return student


def _layers(network: Detection) -> list[list[nn.Module]]:
    """Modules by depth: all of one depth read the same channels."""
    first, second = network.head
    return [[*network.lateral], [*network.smooth], [first], [second], [network.box, network.score]]


def _kept(teacher: Detection, pictures: Tensor, neck: int) -> list[Tensor]:
    """Numbers of the channels to keep between each two depths, ascending."""
    readers = [[_convolution(one) for one in depth] for depth in _layers(teacher)[1:]]
    loudness = _loudness(teacher, pictures, readers)
    kept = []
    for depth in readers:
        heard = sum(one.weight.square().sum((0, 2, 3)) for one in depth)
        carried = heard * sum(loudness[one] for one in depth)
        kept.append(torch.as_tensor(carried).topk(neck).indices.sort().values)
    return kept


def _loudness(
    teacher: Detection, pictures: Tensor, readers: list[list[nn.Conv2d]]
) -> dict[nn.Conv2d, Tensor]:
    """The mean square of each channel that each convolution reads."""
    found: dict[nn.Conv2d, Tensor] = {}

    def listen(reader: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(reader, nn.Conv2d)  # noqa: S101  # hooked below
        found[reader] = found.get(reader, 0) + given[0].square().mean((0, 2, 3))

    hooks = [one.register_forward_hook(listen) for depth in readers for one in depth]
    teacher(pictures)
    for hook in hooks:
        hook.remove()
    return found


def _copy(target: nn.Module, source: nn.Module, outputs: Kept, inputs: Kept) -> None:
    """Weights of the channels ``outputs`` for what comes in by the channels ``inputs``."""
    ours, theirs = _convolution(target), _convolution(source)
    ours.weight.copy_(theirs.weight[outputs][:, inputs])
    if ours.bias is not None and theirs.bias is not None:
        ours.bias.copy_(theirs.bias[outputs])
    if isinstance(target, nn.Sequential) and isinstance(source, nn.Sequential):
        for name, value in target[1].state_dict().items():
            given = source[1].state_dict()[name]
            value.copy_(given[outputs] if given.ndim else given)


def _convolution(layer: nn.Module) -> nn.Conv2d:
    found = layer[0] if isinstance(layer, nn.Sequential) else layer
    assert isinstance(found, nn.Conv2d)  # noqa: S101  # the network has no others
    return found
