"""What a cell should say, and how far off it is.

Cells are given to people by how well they already do (task-aligned assignment, Feng et al. 2021,
TOOD): score ** 0.5 * IoU ** 4, the ten best each; a cell's score should be its share of the best.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from training.detection.network import STRIDES

_CELLS_EACH = 10
_BOX_WEIGHT = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """``corner`` (C, 2) as x, y in strides, ``stride`` (C, 1) in pixels, row by row."""

    corner: Tensor
    stride: Tensor

    @property
    def centre_px(self) -> Tensor:
        """(C, 2)."""
        return (self.corner + 0.5) * self.stride


def cells_of(height: int, width: int) -> Cells:
    """Of a picture of that size."""
    corners, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        corners.append(torch.stack([x.flatten(), y.flatten()], dim=1).float())
        strides.append(torch.full((len(corners[-1]), 1), float(stride)))
    return Cells(torch.cat(corners), torch.cat(strides))


def decoded(raw: Tensor, cells: Cells) -> Tensor:
    """Boxes xyxy (N, C, 4) in pixels from what the network says (N, C, 5)."""
    centre = (raw[..., :2] + cells.corner) * cells.stride
    half = raw[..., 2:4].clamp(-4, 6).exp() * cells.stride / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def detection_loss(
    raw: Tensor,
    people: list[Tensor],
    ignored: list[Tensor],
    cells: Cells,
    worth: list[Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses of score and box of a batch: ``raw`` (N, C, 5), xyxy pixels (P, 4) and (Q, 4).

    ``worth`` (P,) is how much the box of each of ``people`` counts, 1 where it is not given; their
    scores all count the same, so that a score stays a share of certainty.
    """
    boxes, logits = decoded(raw, cells), raw[..., 4]
    targets, weights = torch.zeros_like(logits), torch.ones_like(logits)
    box_loss, total = raw.new_zeros(()), raw.new_zeros(())
    for n, (own, left_out) in enumerate(zip(people, ignored, strict=True)):
        weights[n] = 1 - _inside(cells.centre_px, left_out).any(0).float()
        if not len(own):
            continue
        owner, wanted = assigned(boxes[n].detach(), logits[n].detach(), own, cells)
        chosen = owner >= 0
        counts = torch.ones(len(own)) if worth is None else worth[n]
        targets[n], weights[n] = wanted, torch.maximum(weights[n], chosen.float())
        giou = generalised_iou(boxes[n][chosen], own[owner[chosen]])
        box_loss = box_loss + ((1 - giou) * wanted[chosen] * counts[owner[chosen]]).sum()
        total = total + wanted.sum()
    score_loss = binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
    total = total.clamp(min=1)
    return score_loss / total, _BOX_WEIGHT * box_loss / total


def assigned(boxes: Tensor, logits: Tensor, own: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """For each cell whose person it is, -1 for nobody's, (C,), and the score it should have, (C,).

    ``boxes`` (C, 4) and ``logits`` (C,) are what the cells say now, ``own`` (P, 4), P > 0.
    """
    iou = overlaps(own, boxes)
    allowed = _inside(cells.centre_px, own) | _near(cells, own)
    fit = logits.sigmoid().sqrt() * iou.clamp(min=1e-4) ** 4 * allowed
    best = fit.topk(min(_CELLS_EACH, fit.shape[1]), dim=1)
    taken = torch.zeros_like(fit).scatter(1, best.indices, (best.values > 0).float())
    owner = (iou * taken + taken * 1e-6).argmax(0)
    is_taken = taken.any(0)
    fit = fit * taken
    share = fit / fit.amax(1, keepdim=True).clamp(min=1e-12) * (iou * taken).amax(1, keepdim=True)
    wanted = share.gather(0, owner[None])[0] * is_taken
    return torch.where(is_taken, owner, -1), wanted


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (A, B) of boxes xyxy."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area_a, area_b = (boxes[:, 2:].sub(boxes[:, :2]).prod(-1) for boxes in (a, b))
    return shared / (area_a[:, None] + area_b[None] - shared).clamp(min=1e-6)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """(N,) of pairs of boxes (Rezatofighi et al. 2019)."""
    shared = _area(torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:]))
    around = _area(torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:]))
    union = (_area(a[:, :2], a[:, 2:]) + _area(b[:, :2], b[:, 2:]) - shared).clamp(min=1e-6)
    return shared / union - (around - union) / around.clamp(min=1e-6)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """(P, C): whether each point (C, 2) lies in each box (P, 4)."""
    low = points[None] > boxes[:, None, :2]
    high = points[None] < boxes[:, None, 2:]
    return (low & high).all(-1)


def _near(cells: Cells, boxes: Tensor) -> Tensor:
    """(P, C): cells of the finest stride next to the middle, for boxes smaller than a cell."""
    middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    distance = (cells.centre_px[None] - middle).abs().amax(-1)
    return (distance < 0.75 * cells.stride.T) & (STRIDES[0] == cells.stride.T)
