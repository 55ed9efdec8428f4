"""Training from random weights or from an export's; can be broken off and resumed."""

import copy
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from plugins.errors import InvalidInputError
from training.detection.loss import Cells, cells_of, detection_loss
from training.detection.network import Detection
from training.detection.pictures import Stored, is_shop, opened, read_scene, scene_files
from training.detection.samples import Sample, training_sample
from training.detection.start import keep_statistics, network_from_onnx

SIZE_HW = (288, 512)
_SMALLER = ((192, 352), (224, 416), (256, 448), SIZE_HW)
_FULL_SIZE_FROM = 0.55
_MOSAICS = 0.25
_EMA = 0.998
_ROUND = 100
_SCENES_EACH = 48
_SHOP_SHARE = 0.6
"""Of a round's scenes, where there are both shops and rooms of any kind."""

SizeHW = tuple[int, int]
People = list[Tensor]
Batch = tuple[Tensor, People, People, list[Tensor]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """``seeds`` are the scenes to learn from. ``minutes`` ends the schedule early, 0 does not.
    ``start`` is an exported model whose weights come first, None for random ones.
    """

    pictures: Path
    seeds: Sequence[int]
    steps: int
    minutes: float
    start: Path | None = None
    batch: int = 8
    rate: float = 1.5e-3
    seed: int = 1


@dataclass(slots=True, eq=False)
class State:
    """What a checkpoint holds; ``mean`` is the running mean of the weights, the better network.
    ``start`` is the SHA-256 of the model it began with, "" for random weights.
    """

    network: Detection
    mean: Detection
    optimiser: torch.optim.Optimizer
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    start: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The network of a checkpoint, ready to be asked, what it took so far, from which start."""

    network: Detection
    steps: int
    samples: int
    seconds: float
    seed: int
    start: str


def train(recipe: Recipe, folder: Path) -> Iterator[str]:
    """Trains on, from ``folder/state.pt`` if that is there; yields a line after each round."""
    cv2.setNumThreads(1)
    torch.manual_seed(recipe.seed)
    state = _state(recipe, folder)
    while (progress := _progress(recipe, state)) < 1:
        began, losses = time.monotonic(), []
        for batch in _batches(recipe, state.step, progress):
            _set_rate(state.optimiser, recipe.rate * _share_of_rate(_progress(recipe, state)))
            losses.append(_step(state, *batch))
            state.step += 1
            state.samples += recipe.batch
        state.seconds += time.monotonic() - began
        _save(state, recipe.seed, folder)
        score, box = np.mean(losses, axis=0)
        yield (
            f"step {state.step}  score {score:.3f}  box {box:.3f}  "
            f"{state.seconds / 60:.1f} min  done {_progress(recipe, state):.0%}"
        )


def load_trained(folder: Path) -> Trained:
    """Of ``folder/state.pt``; InvalidInputError if there is none."""
    path = folder / "state.pt"
    if not path.is_file():
        raise InvalidInputError(f"{path} is missing: run python -m training.detection train")
    stored: dict[str, Any] = torch.load(path, weights_only=True)
    network = Detection()
    network.load_state_dict(stored["mean"])
    taken = (stored[name] for name in ("step", "samples", "seconds", "seed", "start"))
    return Trained(network.eval(), *taken)


def _batches(recipe: Recipe, step: int, progress: float) -> Iterator[Batch]:
    """One round's; the next is made in a thread while the network learns from this one."""
    random = np.random.default_rng((recipe.seed, step))
    stored = [one for path in _round_scenes(recipe, random) for one in read_scene(path)]
    full = recipe.start is not None or progress >= _FULL_SIZE_FROM
    sizes = (SIZE_HW,) if full else _SMALLER
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(_batch, stored, sizes, recipe.batch, random)
        for _ in range(_ROUND - 1):
            batch = ahead.result()
            ahead = pool.submit(_batch, stored, sizes, recipe.batch, random)
            yield batch
        yield ahead.result()


def _round_scenes(recipe: Recipe, random: np.random.Generator) -> list[Path]:
    """Shops and rooms of any kind in fixed shares, as far as there are both."""
    paths = scene_files(recipe.pictures, recipe.seeds)
    shops = [path for path in paths if is_shop(path)]
    rooms = [path for path in paths if not is_shop(path)]
    share = _SHOP_SHARE if shops and rooms else float(bool(shops))
    counts = round(share * _SCENES_EACH), round((1 - share) * _SCENES_EACH)
    return [
        kind[k]
        for kind, count in zip((shops, rooms), counts, strict=True)
        for k in random.permutation(len(kind))[:count].tolist()
    ]


def _batch(
    stored: list[Stored], sizes: tuple[SizeHW, ...], count: int, random: np.random.Generator
) -> Batch:
    size_hw = sizes[int(random.integers(len(sizes)))]
    samples = [_sample(stored, size_hw, random) for _ in range(count)]
    pictures = torch.from_numpy(np.stack([one.bgr for one in samples]))
    people = [torch.from_numpy(one.boxes_xyxy) for one in samples]
    worth = [torch.from_numpy(one.worth) for one in samples]
    return pictures, people, [torch.from_numpy(one.ignored_xyxy) for one in samples], worth


def _sample(stored: list[Stored], size_hw: tuple[int, int], random: np.random.Generator) -> Sample:
    count = 4 if random.uniform() < _MOSAICS else 1
    numbers = random.integers(len(stored), size=count).tolist()
    return training_sample([opened(stored[k]) for k in numbers], size_hw, random)


def _step(
    state: State, pictures: Tensor, people: People, ignored: People, worth: list[Tensor]
) -> tuple[float, float]:
    network = state.network
    # (N, H, W, 3) seen as (N, 3, H, W) is what "channels last" means in memory.
    inputs = pictures.permute(0, 3, 1, 2).float().div_(255)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        raw = network(inputs)
    score, box = detection_loss(raw.float(), people, ignored, _cells(inputs), worth)
    state.optimiser.zero_grad()
    (score + box).backward()
    nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    state.optimiser.step()
    _follow(state.mean, network, min(_EMA, (1 + state.step) / (10 + state.step)))
    return score.item(), box.item()


def _cells(inputs: Tensor) -> Cells:
    return cells_of(inputs.shape[2], inputs.shape[3])


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


def _state(recipe: Recipe, folder: Path) -> State:
    network = Detection() if recipe.start is None else network_from_onnx(recipe.start)
    network = network.train().to(memory_format=torch.channels_last)
    mean = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=0.02)
    state = State(network, mean, optimiser)
    if recipe.start is not None:
        state.start = hashlib.sha256(recipe.start.read_bytes()).hexdigest()
    path = folder / "state.pt"
    if path.exists():
        stored: dict[str, Any] = torch.load(path, weights_only=True)
        network.load_state_dict(stored["network"])
        mean.load_state_dict(stored["mean"])
        optimiser.load_state_dict(stored["optimiser"])
        state.step, state.samples = stored["step"], stored["samples"]
        state.seconds, state.start = stored["seconds"], stored["start"]
    if state.start:
        keep_statistics(network)
    return state


def _save(state: State, seed: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "network": state.network.state_dict(),
        "mean": state.mean.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "samples": state.samples,
        "seed": seed,
        "seconds": state.seconds,
        "start": state.start,
    }
    torch.save(content, folder / "state.part")
    (folder / "state.part").replace(folder / "state.pt")
