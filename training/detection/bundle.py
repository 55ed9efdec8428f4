"""Installs the trained detector in the model repository, and remembers how it came about."""

from pathlib import Path

import msgspec

from plugins.inference.model_import import MODEL_FILE
from training.detection.batches import SIZE_HW
from training.detection.card import MADE_FILE, Made
from training.detection.export import install
from training.detection.train import Trained, load_trained


def bundle(work: Path, repository: Path) -> Path:
    """Returns the ONNX file of the checkpoint in ``work``."""
    trained = load_trained(work)
    path = install(trained.network, SIZE_HW, repository) / MODEL_FILE
    (work / MADE_FILE).write_bytes(msgspec.json.encode(_made(trained, path)))
    return path


def _made(trained: Trained, path: Path) -> Made:
    return Made(
        pictures=trained.pictures,
        scenes=trained.scenes,
        steps=trained.steps,
        samples=trained.samples,
        seconds=trained.seconds,
        machine=trained.machine,
        seed=trained.seed,
        start=trained.start,
        teacher=trained.teacher,
        size_hw=SIZE_HW,
        parameters=sum(weight.numel() for weight in trained.network.parameters()),
        file_bytes=path.stat().st_size,
    )
