"""What is minimised: people of the batch apart from each other, and from all other people."""

import torch
from torch import nn
from torch.nn import functional

_TEMPERATURE = 0.1
_SCALE, _COSINE_MARGIN = 24.0, 0.2


def contrastive_loss(vectors: torch.Tensor, person: torch.Tensor) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, L_out) of vectors (N, D) of length 1."""
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    logits = (vectors @ vectors.T / _TEMPERATURE).masked_fill(itself, -1e9)
    log_share = logits - logits.logsumexp(1, keepdim=True)
    is_same = (person[:, None] == person[None, :]) & ~itself
    return -(log_share * is_same).sum(1).div(is_same.sum(1).clamp_min(1)).mean()


class PersonClassifier(nn.Module):
    """Large-margin cosine loss (Wang et al. 2018, CosFace) over everybody in the training set;
    needed for training only.
    """

    def __init__(self, people: int, dimension: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(people, dimension) * dimension**-0.5)

    def forward(self, vectors: torch.Tensor, person: torch.Tensor) -> torch.Tensor:
        """Mean loss of vectors (N, D) of length 1 that show ``person`` (N,)."""
        cosine = vectors @ functional.normalize(self.centres).T
        margin = _COSINE_MARGIN * functional.one_hot(person, len(self.centres))
        return functional.cross_entropy(_SCALE * (cosine - margin), person)
