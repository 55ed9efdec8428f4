"""What is written down of a training, for the export and the card."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from plugins.errors import InvalidInputError

EXPORTED, RECORD = "embedder.onnx", "trained.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """``steps`` batches of ``people`` times four crops."""

    steps: int = 3400
    people: int = 24
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: int = 200
    seed: int = 3


@dataclass(frozen=True, slots=True)
class Run:
    """What was trained on what."""

    recipe: Recipe
    people: int
    crops: int
    scenes: int


@dataclass(frozen=True, slots=True)
class Trained:
    """How far a run came: ``seconds`` in training steps; ``parameters`` of the network."""

    run: Run
    step: int
    seconds: float
    parameters: int
    torch: str
    machine: str


def read_trained(work: Path) -> Trained:
    """The record beside ``embedder.onnx`` in ``work``; InvalidInputError where there is none."""
    path = work / RECORD
    if not path.is_file():
        raise InvalidInputError(
            f"{path} is missing: run python -m training.reidentification export"
        )
    return msgspec.json.decode(path.read_bytes(), type=Trained)
