"""Training from random weights, from an export's, or to answer as a wider network does; can be
broken off and resumed.
"""

import copy
import hashlib
import math
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plugins.errors import InvalidInputError
from training.checkpoints import fitting
from training.detection.batches import SIZE_HW, Batches
from training.detection.loss import (
    Cells,
    Truth,
    cells_of,
    detection_loss,
    distillation_loss,
)
from training.detection.narrowing import narrowed
from training.detection.network import NECK, Detection
from training.detection.start import keep_statistics, network_from_onnx

_ROUND = 100
_COUNTED = ("step", "samples", "seconds", "start", "teacher", "pictures", "scenes")
_TRUTH_BESIDE_TEACHER = 0.5


@dataclass(frozen=True, slots=True)
class Recipe:
    """``seeds`` are the scenes to learn from. ``minutes`` ends the schedule early, 0 does not.
    ``start`` is an exported model whose weights come first, None for random ones; ``teacher`` one
    that is thinned out to ``neck`` channels and learnt from, as ``narrowing`` has it. ``rate`` is
    the highest. ``keep`` is the share of the running mean of the weights that stays at each step.
    ``workers`` processes make the samples.
    """

    pictures: Path
    seeds: Sequence[int]
    steps: int
    minutes: float
    start: Path | None = None
    teacher: Path | None = None
    neck: int = NECK
    batch: int = 8
    rate: float = 1.5e-3
    keep: float = 0.998
    seed: int = 1
    workers: int = 1


@dataclass(slots=True, eq=False)
class State:
    """What a checkpoint holds; ``mean`` is the running mean of the weights, the better network.
    ``start`` is the SHA-256 of the model it began with, "" for random weights, ``teacher`` that of
    the one it learns from, "" for none; ``pictures`` and ``scenes`` count what it learns from.
    ``taught_by`` is the teacher itself, which no checkpoint holds.
    """

    network: Detection
    mean: Detection
    optimiser: torch.optim.Optimizer
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    start: str = ""
    teacher: str = ""
    pictures: int = 0
    scenes: int = 0
    taught_by: Detection | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The network of a checkpoint, ready to be asked, and what it took so far."""

    network: Detection
    steps: int
    samples: int
    seconds: float
    start: str
    teacher: str
    pictures: int
    scenes: int
    seed: int
    machine: str


def train(recipe: Recipe, folder: Path) -> Iterator[str]:
    """Trains on, from ``folder/state.pt`` if that is there; yields a line after each round.

    On a GPU if there is one. InvalidInputError for a checkpoint that is damaged or of another
    shape.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state = _state(recipe, folder, device)
    cells = cells_of(*SIZE_HW).to(device)
    batches = _batches(recipe)
    state.pictures, state.scenes = batches.pictures, batches.scenes
    remaining = range(state.step, recipe.steps)
    began, losses = time.monotonic(), []
    for pictures, truth in batches.steps(remaining, recipe.workers, pinned=device.type == "cuda"):
        progress = _progress(recipe, state)
        _set_rate(state.optimiser, recipe.rate * _share_of_rate(progress))
        losses.append(_step(state, pictures.to(device), truth.to(device), cells, recipe.keep))
        state.step += 1
        state.samples += recipe.batch
        if progress < 1 and state.step % _ROUND and state.step < recipe.steps:
            continue
        state.seconds += time.monotonic() - began
        _save(state, recipe.seed, folder)
        yield _report(state, torch.stack(losses).mean(0), _progress(recipe, state))
        began, losses = time.monotonic(), []
        if progress >= 1:
            break


def load_trained(folder: Path) -> Trained:
    """Of ``folder/state.pt``; InvalidInputError if there is none, or a damaged or older one."""
    path = folder / "state.pt"
    if not path.is_file():
        raise InvalidInputError(f"{path} is missing: run python -m training.detection train")
    with fitting(path):
        stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        network = Detection(neck=stored["mean"]["score.weight"].shape[1])
        network.load_state_dict(stored["mean"])
        taken = [stored[name] for name in (*_COUNTED, "seed", "machine")]
    return Trained(network.eval(), *taken)


def _report(state: State, losses: Tensor, progress: float) -> str:
    score, box = losses.tolist()
    return (
        f"step {state.step}  score {score:.3f}  box {box:.3f}  "
        f"{state.seconds / 60:.1f} min  done {progress:.0%}"
    )


def _step(state: State, pictures: Tensor, truth: Truth, cells: Cells, keep: float) -> Tensor:
    """The losses (2,) of score and box."""
    network = state.network
    inputs = _inputs(pictures)
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
        if state.taught_by is None:
            raw = network(inputs).float()
        else:
            raw, taught = _taught(network, state.taught_by, inputs)
    score, box = detection_loss(raw, truth, cells)
    loss = score + box
    if state.taught_by is not None:
        loss = _TRUTH_BESIDE_TEACHER * loss + distillation_loss(raw, taught, cells)
    state.optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    state.optimiser.step()
    _follow(state.mean, network, min(keep, (1 + state.step) / (10 + state.step)))
    return torch.stack([score.detach(), box.detach()])


def _inputs(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) 0..1 of (N, H, W, 3) 0..255, which in memory is torch's "channels last"."""
    return pictures.permute(0, 3, 1, 2).float().div_(255)


def _taught(student: Detection, teacher: Detection, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """What both say of the features that they share."""
    with torch.no_grad():
        features = teacher.features(inputs)
        taught = teacher.answers(features)
    return student.answers(features).float(), taught.float()


@torch.no_grad()
def _follow(mean: nn.Module, network: nn.Module, keep: float) -> None:
    own = network.state_dict()
    for name, value in mean.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(own[name], 1 - keep)
        else:
            value.copy_(own[name])


def _progress(recipe: Recipe, state: State) -> float:
    by_time = state.seconds / 60 / recipe.minutes if recipe.minutes else 0.0
    return max(state.step / recipe.steps, by_time)


def _share_of_rate(progress: float) -> float:
    """Up for a fiftieth, then down along a cosine to a fiftieth."""
    falling = 0.02 + 0.98 * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return min(1.0, 0.02 + progress / 0.02) * falling


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _batches(recipe: Recipe) -> Batches:
    return Batches(recipe.pictures, recipe.seeds, recipe.batch, recipe.seed)


def _state(recipe: Recipe, folder: Path, device: torch.device) -> State:
    teacher = None if recipe.teacher is None else network_from_onnx(recipe.teacher)
    network = _first_network(recipe, teacher)
    network = network.train().to(device, memory_format=torch.channels_last)
    mean = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=0.02)
    state = State(network, mean, optimiser, start=_sha256(recipe.start))
    if teacher is not None:
        state.taught_by = teacher.to(device, memory_format=torch.channels_last)
        state.teacher = _sha256(recipe.teacher)
    path = folder / "state.pt"
    if path.exists():
        with fitting(path):
            stored = torch.load(path, map_location=device, weights_only=True)
            given = (state.start, state.teacher)
            _take_over(state, stored)
        if (state.start, state.teacher) != given:
            raise InvalidInputError(
                f"{path} was begun with another --start or --teacher: give the same again, or "
                "begin in another --work"
            )
    if state.start or state.teacher:
        keep_statistics(network)
    return state


def _first_network(recipe: Recipe, teacher: Detection | None) -> Detection:
    if teacher is not None:
        pictures, _ = _batches(recipe)[0]
        return narrowed(teacher, _inputs(pictures), recipe.neck)
    if recipe.start is not None:
        return network_from_onnx(recipe.start)
    return Detection(neck=recipe.neck)


def _sha256(path: Path | None) -> str:
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def _take_over(state: State, stored: dict[str, Any]) -> None:
    state.network.load_state_dict(stored["network"])
    state.mean.load_state_dict(stored["mean"])
    state.optimiser.load_state_dict(stored["optimiser"])
    for name in _COUNTED:
        setattr(state, name, stored[name])


def _save(state: State, seed: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "network": state.network.state_dict(),
        "mean": state.mean.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        **{name: getattr(state, name) for name in _COUNTED},
        "seed": seed,
        "machine": _machine(),
    }
    torch.save(content, folder / "state.part")
    (folder / "state.part").replace(folder / "state.pt")


def _machine() -> str:
    """What it trains on, in words."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} cores of {names[0] if names else platform.machine()}"
