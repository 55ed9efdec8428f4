"""The embedder: a small residual network that looks at a person in horizontal stripes."""

import torch
from torch import nn
from torch.nn import functional

HEIGHT, WIDTH = 128, 64
DIMENSION = 159
"""Length of a vector before export, which adds one number (``calibration.py``)."""
_WIDTHS = (24, 32, 64, 128)
_STRIPES = 4
_STRIPE_WIDTH = 48


class EmbeddingNetwork(nn.Module):
    """uint8 RGB crops (N, 3, 128, 64) to vectors (N, 159) of length 1.

    Residual blocks as in He et al. 2016. The last map (8 x 4 cells) is averaged over four stripes
    from head to feet, each with a layer of its own as in Sun et al. 2018 (PCB), and its maxima are
    taken over the whole; one linear layer makes a vector of it all.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = _WIDTHS
        self.trunk = nn.Sequential(
            _convolution(3, first, 2),
            _convolution(first, second, 2),
            _Residual(second),
            _convolution(second, third, 2),
            _Residual(third),
            _Residual(third),
            _convolution(third, last, 2),
            _Residual(last),
        )
        self.stripes = nn.Conv2d(last * _STRIPES, _STRIPE_WIDTH * _STRIPES, 1, groups=_STRIPES)
        self.joined = nn.Linear(_STRIPE_WIDTH * _STRIPES + last, DIMENSION, bias=False)
        self.norm = nn.BatchNorm1d(DIMENSION)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return functional.normalize(self.features(crops.float() / 64.0 - 2.0))

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Vectors of any length of ``pixels`` in -2..2."""
        cells = self.trunk(pixels)
        count, width, rows, columns = cells.shape
        bands = cells.reshape(count, width, _STRIPES, rows // _STRIPES * columns).mean(3)
        stripes = self.stripes(bands.transpose(1, 2).reshape(count, width * _STRIPES, 1, 1))
        whole = cells.amax((2, 3))
        joined = torch.cat([functional.relu(stripes.flatten(1)), whole], 1)
        vectors: torch.Tensor = self.norm(self.joined(joined))
        return vectors


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        return functional.relu(cells + self.second(self.first(cells)))


def _convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )
