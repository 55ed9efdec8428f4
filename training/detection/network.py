"""The detector: a small residual network, a feature pyramid, and one head for three strides.

Plain 3x3 convolutions with batch normalisation and ReLU: ONNX Runtime folds the three into one
kernel, which on a CPU beats depthwise convolutions of the same accuracy. The head has no anchors:
each cell says how likely it is a person and the box around it (as in YOLOX, Ge et al. 2021).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

STRIDES = (8, 16, 32)
_PRIOR = 0.01
_DEPTHS = (2, 4, 4)
NECK = 48


class Detection(nn.Module):
    """Pictures (N, 3, H, W) 0..1, BGR, to cells (N, C, 5) of strides 8, 16 and 32, row by row.

    A cell's row is the centre's offset x, y from its corner and log width, log height, all in
    strides, and the logit of its score. H and W are multiples of 32.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128, 128), neck: int = NECK) -> None:
        super().__init__()
        self.neck = neck
        stem, quarter, *deep = widths
        self.stem = nn.Sequential(_conv(3, stem, stride=2), _stage(stem, quarter, 1))
        ins = (quarter, *deep[:-1])
        pairs = zip(ins, deep, _DEPTHS, strict=True)
        self.stages = nn.ModuleList([_stage(a, b, depth) for a, b, depth in pairs])
        self.context = _Context(deep[-1])
        self.lateral = nn.ModuleList([_conv(width, neck, size=1) for width in deep])
        self.smooth = nn.ModuleList([_conv(neck, neck) for _ in STRIDES])
        self.head = nn.Sequential(_conv(neck, neck), _conv(neck, neck))
        self.box = nn.Conv2d(neck, 4, 1)
        self.score = nn.Conv2d(neck, 1, 1)
        nn.init.constant_(_bias(self.score), -math.log((1 - _PRIOR) / _PRIOR))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        return self.answers(self.features(pictures))

    def features(self, pictures: Tensor) -> list[Tensor]:
        """What the pyramid is built of: maps of strides 8, 16 and 32."""
        features, deeper = [], self.stem(pictures)
        for stage in self.stages:
            deeper = stage(deeper)
            features.append(deeper)
        features[-1] = self.context(features[-1])
        return features

    def answers(self, features: list[Tensor]) -> Tensor:
        """Cells (N, C, 5) of ``features``."""
        rows = [self._cells(level) for level in self._pyramid(features)]
        return torch.cat(rows, dim=1)

    def _pyramid(self, features: list[Tensor]) -> list[Tensor]:
        levels: list[Tensor] = []
        for feature, lateral in zip(reversed(features), reversed(self.lateral), strict=True):
            level = lateral(feature)
            if levels:
                level = level + interpolate(levels[-1], scale_factor=2.0, mode="nearest")
            levels.append(level)
        smooth = zip(reversed(levels), self.smooth, strict=True)
        return [convolution(level) for level, convolution in smooth]

    def _cells(self, level: Tensor) -> Tensor:
        shared = self.head(level)
        both = torch.cat([self.box(shared), self.score(shared)], dim=1)
        return both.flatten(2).transpose(1, 2)


class _Residual(nn.Module):
    """Narrow to half by 1x1, back by 3x3, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width // 2, size=1), _conv(width // 2, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.body(x))


class _Context(nn.Module):
    """Adds what lies around: maxima over 5, 9 and 13 cells (as SPP in YOLO)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = _conv(width, width // 2, size=1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.join = _conv(2 * width, width, size=1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.narrow(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.join(torch.cat(parts, dim=1))


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(inputs, outputs, stride=2), *(_Residual(outputs) for _ in range(depth))
    )


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None  # noqa: S101  # it was made with one
    return convolution.bias
