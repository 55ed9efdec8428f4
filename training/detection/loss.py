"""What a cell should say, and how far off it is.

Cells are given to people by how well they already do (task-aligned assignment, Feng et al. 2021,
TOOD): score ** 0.5 * IoU ** 4, the ten best each; a cell's score should be its share of the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from training.detection.network import STRIDES

_CELLS_EACH = 10
_BOX_WEIGHT = 2.5
_TAUGHT_SCORE_WEIGHT = 2.0
_SEEN = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """``corner`` (C, 2) as x, y in strides, ``stride`` (C, 1) in pixels, row by row."""

    corner: Tensor
    stride: Tensor

    @property
    def centre_px(self) -> Tensor:
        """(C, 2)."""
        return (self.corner + 0.5) * self.stride

    def to(self, device: torch.device) -> "Cells":
        """The same on a device."""
        return Cells(self.corner.to(device), self.stride.to(device))


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


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Of N pictures, padded to as many boxes as the fullest has: ``people_xyxy`` (N, P, 4) to be
    found, ``worth`` (N, P) how much each box counts, 0 for padding, ``ignored_xyxy`` (N, Q, 4)
    where finding or missing somebody does not count. P and Q are at least 1.
    """

    people_xyxy: Tensor
    worth: Tensor
    ignored_xyxy: Tensor

    @classmethod
    def of(
        cls, people: Sequence[Tensor], ignored: Sequence[Tensor], worth: Sequence[Tensor]
    ) -> "Truth":
        """From (P, 4), (Q, 4) and (P,) of each picture."""
        return cls(_padded(people, (4,)), _padded(worth, ()), _padded(ignored, (4,)))

    def to(self, device: torch.device) -> "Truth":
        """The same on a device."""
        parts = (self.people_xyxy, self.worth, self.ignored_xyxy)
        return Truth(*(part.to(device, non_blocking=True) for part in parts))


def detection_loss(raw: Tensor, truth: Truth, cells: Cells) -> tuple[Tensor, Tensor]:
    """Losses of score and box of a batch: ``raw`` (N, C, 5).

    What a person is worth weighs their box alone; all scores count the same, so that a score stays
    a share of certainty.
    """
    boxes, logits = decoded(raw, cells), raw[..., 4]
    owner, wanted = assigned(boxes.detach(), logits.detach(), truth, cells)
    is_ignored = _inside(cells.centre_px, truth.ignored_xyxy).any(1) & (owner < 0)
    score_loss = binary_cross_entropy_with_logits(
        logits, wanted, (~is_ignored).float(), reduction="sum"
    )
    own = owner.clamp(min=0)
    giou = generalised_iou(boxes, truth.people_xyxy.gather(1, own[..., None].expand(-1, -1, 4)))
    box_loss = ((1 - giou) * wanted * truth.worth.gather(1, own)).sum()
    total = wanted.sum().clamp(min=1)
    return score_loss / total, _BOX_WEIGHT * box_loss / total


def distillation_loss(raw: Tensor, taught: Tensor, cells: Cells) -> Tensor:
    """How far the answers ``raw`` (N, C, 5) are from ``taught``, those of the better network: in
    score everywhere, in place where it saw somebody (Hinton et al. 2015).
    """
    scores = taught[..., 4].sigmoid()
    total = scores.sum().clamp(min=1)
    score_loss = binary_cross_entropy_with_logits(raw[..., 4], scores, reduction="sum")
    least = binary_cross_entropy_with_logits(taught[..., 4], scores, reduction="sum")
    giou = generalised_iou(decoded(raw, cells), decoded(taught, cells))
    box_loss = ((1 - giou) * scores * (scores > _SEEN)).sum()
    return (_TAUGHT_SCORE_WEIGHT * (score_loss - least) + _BOX_WEIGHT * box_loss) / total


def assigned(boxes: Tensor, logits: Tensor, truth: Truth, cells: Cells) -> tuple[Tensor, Tensor]:
    """For each cell whose person it is, -1 for nobody's, (N, C), and the score it should have,
    (N, C).

    ``boxes`` (N, C, 4) and ``logits`` (N, C) are what the cells say now.
    """
    people = truth.people_xyxy
    iou = overlaps(people, boxes)
    allowed = _inside(cells.centre_px, people) | _near(cells, people)
    allowed = allowed & (truth.worth > 0)[..., None]
    fit = logits.sigmoid().sqrt()[:, None] * iou.clamp(min=1e-4) ** 4 * allowed
    best = fit.topk(min(_CELLS_EACH, fit.shape[2]), dim=2)
    taken = torch.zeros_like(fit).scatter(2, best.indices, (best.values > 0).float())
    owner = (iou * taken + taken * 1e-6).argmax(1)
    is_taken = taken.any(1)
    fit = fit * taken
    share = fit / fit.amax(2, keepdim=True).clamp(min=1e-12) * (iou * taken).amax(2, keepdim=True)
    wanted = share.gather(1, owner[:, None])[:, 0] * is_taken
    return torch.where(is_taken, owner, -1), wanted


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (..., A, B) of boxes xyxy (..., A, 4) and (..., B, 4)."""
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    shared = _area(low, high)
    area_a, area_b = (_area(boxes[..., :2], boxes[..., 2:]) for boxes in (a, b))
    return shared / (area_a[..., :, None] + area_b[..., None, :] - shared).clamp(min=1e-6)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """(...) of pairs of boxes (..., 4) (Rezatofighi et al. 2019)."""
    (a0, a1), (b0, b1) = ((boxes[..., :2], boxes[..., 2:]) for boxes in (a, b))
    shared = _area(torch.maximum(a0, b0), torch.minimum(a1, b1))
    around = _area(torch.minimum(a0, b0), torch.maximum(a1, b1))
    union = (_area(a0, a1) + _area(b0, b1) - shared).clamp(min=1e-6)
    return shared / union - (around - union) / around.clamp(min=1e-6)


def _area(low: Tensor, high: Tensor) -> Tensor:
    side = (high - low).clamp(min=0)
    return side[..., 0] * side[..., 1]


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """(N, P, C): whether each point (C, 2) lies in each box (N, P, 4)."""
    low = points > boxes[:, :, None, :2]
    high = points < boxes[:, :, None, 2:]
    return (low & high).all(-1)


def _near(cells: Cells, boxes: Tensor) -> Tensor:
    """(N, P, C): cells of the finest stride next to the middle, for boxes smaller than a cell."""
    middle = (boxes[:, :, None, :2] + boxes[:, :, None, 2:]) / 2
    distance = (cells.centre_px - middle).abs().amax(-1)
    return (distance < 0.75 * cells.stride.T) & (STRIDES[0] == cells.stride.T)


def _padded(rows: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    """(N, most, ...) of N times (own, ...), zeros behind, at least one."""
    most = max(1, *(len(own) for own in rows))
    padded = torch.zeros((len(rows), most, *shape))
    for row, own in zip(padded, rows, strict=True):
        row[: len(own)] = own
    return padded
