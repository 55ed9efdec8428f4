"""Random light, colour, softness, noise and occlusion, so that the network relies on none."""

import torch
from torch.nn import functional


def augmented(pixels: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """(N, 3, H, W) uint8 RGB as float -2..2, each crop as another camera may have shown it.

    ``random`` is on the pixels' device.
    """
    x = pixels.float() / 255.0
    x = _covered(x, random)
    x = _relit(x, random)
    x = _softened(x, random)
    x = x + _some(x, 0.6, random) * 0.035 * _normal(x.shape, random)
    return x.clamp(0, 1) * (255.0 / 64.0) - 2.0


def _relit(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Exposure, colour cast, gamma, saturation, and light that falls off to one side."""
    count = len(x)
    gamma = torch.exp(0.22 * _normal((count, 1, 1, 1), random))
    exposure = torch.exp(0.18 * _normal((count, 1, 1, 1), random))
    cast = torch.exp(0.07 * _normal((count, 3, 1, 1), random))
    x = (x.clamp_min(1e-4) ** gamma) * exposure * cast
    grey = x.mean(1, keepdim=True)
    saturation = _uniform((count, 1, 1, 1), 0.5, 1.35, random)
    x = grey + (x - grey) * saturation
    slope = 0.25 * _normal((count, 2, 1, 1), random) * _some(x, 0.4, random)
    down = torch.linspace(-1, 1, x.shape[2], device=x.device).view(1, 1, -1, 1)
    across = torch.linspace(-1, 1, x.shape[3], device=x.device).view(1, 1, 1, -1)
    haze = 0.15 * _uniform((count, 1, 1, 1), 0, 1, random) * _some(x, 0.3, random)
    return x * (1 + slope[:, :1] * down + slope[:, 1:] * across) * (1 - haze) + haze * 0.7


def _softened(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """A quarter of the crops as if from far away: fewer pixels, grown again."""
    is_soft = _uniform((len(x),), 0, 1, random) < 0.25
    if not is_soft.any():
        return x
    scale = float(_uniform((1,), 0.3, 0.8, random))
    height, width = x.shape[2:]
    size = (round(height * scale), round(width * scale))
    small = functional.interpolate(x[is_soft], size=size, mode="area")
    x = x.clone()
    x[is_soft] = functional.interpolate(small, size=(height, width), mode="bilinear")
    return x


def _covered(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """A third of the crops have a rectangle of another crop of the batch in front of them."""
    count, (height, width) = len(x), x.shape[2:]
    tall = _uniform((count, 1), 0.15, 0.5, random) * height
    wide = _uniform((count, 1), 0.24, 0.8, random) * width
    top = (height - tall) * _uniform((count, 1), 0, 1, random)
    left = (width - wide) * _uniform((count, 1), 0, 1, random)
    y = torch.arange(height, device=x.device)[None]
    across = torch.arange(width, device=x.device)[None]
    rows = (y >= top) & (y < top + tall) & (_uniform((count, 1), 0, 1, random) < 0.33)
    columns = (across >= left) & (across < left + wide)
    other = x[torch.randperm(count, generator=random, device=random.device)]
    return torch.where((rows[:, :, None] & columns[:, None])[:, None], other, x)


def _some(x: torch.Tensor, share: float, random: torch.Generator) -> torch.Tensor:
    """(N, 1, 1, 1): 0 for most, up to 1 for a ``share`` of the crops."""
    strength = _uniform((len(x), 1, 1, 1), 0, 1, random)
    return strength * (_uniform((len(x), 1, 1, 1), 0, 1, random) < share)


def _uniform(
    shape: tuple[int, ...], low: float, high: float, random: torch.Generator
) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=random, device=random.device)


def _normal(shape: tuple[int, ...], random: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=random, device=random.device)
