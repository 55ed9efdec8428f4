"""Trains the embedder; broken off, it goes on from its last checkpoint and ends the same."""

import copy
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch.utils.data import DataLoader

from plugins.errors import InvalidInputError
from training.checkpoints import fitting
from training.reidentification.augment import augmented
from training.reidentification.crops import Crops
from training.reidentification.dataset import Batch, Sampler, centred
from training.reidentification.loss import PersonClassifier, contrastive_loss
from training.reidentification.metrics import Labels, Scores, score
from training.reidentification.network import DIMENSION, EmbeddingNetwork
from training.reidentification.record import Recipe, Run
from training.reidentification.rooms import CAMERAS

CHECKPOINT = "checkpoint.pt"
_RUN = "run.json"
_AVERAGE_DECAY = 0.998
_CLASSIFIER_WEIGHT = 0.25
_SAVE_EVERY = 250


class Training:
    """Everything that changes from step to step."""

    def __init__(self, recipe: Recipe, people: int) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.step, self.seconds = recipe, 0, 0.0
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = EmbeddingNetwork().to(self._device, memory_format=torch.channels_last)
        self.classifier = PersonClassifier(people, DIMENSION).to(self._device)
        self.average = copy.deepcopy(self.network)
        parameters = [*self.network.parameters(), *self.classifier.parameters()]
        self._optimizer = torch.optim.AdamW(
            parameters, recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def advance(self, batch: Batch) -> torch.Tensor:
        """One step; returns the loss, which the device may still be computing."""
        random = torch.Generator(self._device)
        random.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        person = torch.from_numpy(batch.person).to(self._device)
        pixels = augmented(torch.from_numpy(batch.pixels).to(self._device), random)
        self.network.train()
        features = self.network.features(pixels.contiguous(memory_format=torch.channels_last))
        vectors = torch.nn.functional.normalize(features)
        loss = contrastive_loss(vectors, person)
        loss = loss + _CLASSIFIER_WEIGHT * self.classifier(vectors, person)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self.step += 1
        self._update_average()
        return loss.detach()

    def save(self, folder: Path) -> None:
        """Replaces the checkpoint in one step."""
        part = folder / f".{CHECKPOINT}"
        torch.save(self._state(), part)
        part.replace(folder / CHECKPOINT)

    def resume(self, folder: Path) -> None:
        """Goes back to the checkpoint, if there is one; InvalidInputError for one that is damaged
        or of another shape.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return
        with fitting(path):
            state = torch.load(path, map_location=self._device, weights_only=True)
            self.step, self.seconds = state["step"], state["seconds"]
            for name in ("network", "classifier", "average", "_optimizer"):
                getattr(self, name).load_state_dict(state[name])

    def _state(self) -> dict[str, Any]:
        parts = ("network", "classifier", "average", "_optimizer")
        states = {name: getattr(self, name).state_dict() for name in parts}
        return {**states, "step": self.step, "seconds": self.seconds}

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(_AVERAGE_DECAY, self.step / (self.step + 10))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        for name, value in ours.items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1 - decay)
            else:
                value.copy_(theirs[name])


def learning_rate(recipe: Recipe, step: int) -> float:
    """Rises for ``warm_up`` steps, then falls along a cosine to 1 % at the end."""
    rising = min(1.0, (step + 1) / recipe.warm_up)
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, step / recipe.steps)))
    return recipe.learning_rate * rising * max(falling, 0.01)


def train(
    recipe: Recipe,
    crops: Crops,
    held_out: Crops,
    folder: Path,
    tell: Callable[[str], None],
    *,
    workers: int = 1,
) -> Training:
    """Trains to the end of the recipe, with a checkpoint in ``folder`` every 250 steps.

    On a GPU if there is one; ``workers`` processes make the batches.
    """
    sampler = Sampler(crops, recipe.seed, recipe.people)
    training = Training(recipe, sampler.people)
    training.resume(folder)
    run = Run(recipe, sampler.people, len(crops), len(np.unique(crops.camera // CAMERAS)))
    (folder / _RUN).write_bytes(msgspec.json.encode(run))
    losses: list[torch.Tensor] = []
    started = time.perf_counter()
    for batch in _batches(sampler, range(training.step, recipe.steps), workers):
        losses.append(training.advance(batch))
        if training.step % _SAVE_EVERY == 0 or training.step == recipe.steps:
            loss = float(torch.stack(losses).mean())
            training.seconds += time.perf_counter() - started
            training.save(folder)
            tell(_report(training, loss, validate(training.average, held_out)))
            losses.clear()
            started = time.perf_counter()
    return training


def _batches(sampler: Sampler, steps: range, workers: int) -> Iterable[Batch]:
    """Of each of ``steps`` in order."""
    return DataLoader(
        sampler, batch_size=None, sampler=steps, num_workers=workers, collate_fn=lambda one: one
    )


def load_run(folder: Path) -> tuple[Run, Training]:
    """The run in ``folder`` at its last checkpoint; InvalidInputError where there is none."""
    if not (folder / _RUN).is_file() or not (folder / CHECKPOINT).is_file():
        raise InvalidInputError(
            f"{folder} holds no training: run python -m training.reidentification train"
        )
    with fitting(folder / _RUN):
        run = msgspec.json.decode((folder / _RUN).read_bytes(), type=Run)
    training = Training(run.recipe, run.people)
    training.resume(folder)
    return run, training


def validate(network: EmbeddingNetwork, crops: Crops) -> Scores:
    """Scores on crops of people who were not trained on."""
    vectors = embed_all(network, centred(crops.pixels))
    camera = crops.camera.astype(np.int64)
    labels = Labels(crops.person.astype(np.int64), camera, camera // CAMERAS)
    return score(vectors, labels, (0.7, 0.5))


@torch.no_grad()
def embed_all(network: EmbeddingNetwork, pixels: Any) -> Any:
    """(N, D) float32 of uint8 (N, 3, 128, 64)."""
    network.eval()
    device = network.joined.weight.device
    parts = (torch.from_numpy(pixels[k : k + 128]).to(device) for k in range(0, len(pixels), 128))
    return torch.cat([network(part) for part in parts]).cpu().numpy()


def _report(training: Training, loss: float, found: Scores) -> str:
    return (
        f"step {training.step}  {training.seconds:.0f} s  loss {loss:.3f}  "
        f"rank-1 {found.rank1:.4f}  mAP {found.mean_ap:.4f}  same p05 {found.same_p05:.2f} "
        f"median {found.same_median:.2f}  different median {found.different_median:.2f} "
        f"p99 {found.different_p99:.2f}"
    )
