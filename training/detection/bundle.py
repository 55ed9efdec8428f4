"""Installs the trained detector in the model repository, and remembers how it came about."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plugins.inference.model_import import MODEL_FILE
from training.detection.card import MADE_FILE, Made
from training.detection.export import install
from training.detection.pictures import read_scene, scene_files
from training.detection.train import SIZE_HW, Trained, load_trained


def bundle(work: Path, seeds: Sequence[int], repository: Path) -> Path:
    """Returns the ONNX file; the checkpoint in ``work`` learnt from the scenes ``seeds``."""
    trained = load_trained(work)
    path = install(trained.network, SIZE_HW, repository) / MODEL_FILE
    made = _made(trained, work / "pictures", seeds, path)
    (work / MADE_FILE).write_bytes(msgspec.json.encode(made))
    return path


def _machine() -> str:
    """The processor's name where the system tells it, and how many cores there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def _made(trained: Trained, pictures: Path, seeds: Sequence[int], path: Path) -> Made:
    scenes = scene_files(pictures, seeds)
    return Made(
        pictures=sum(len(read_scene(scene)) for scene in scenes),
        scenes=len(scenes),
        steps=trained.steps,
        samples=trained.samples,
        seconds=trained.seconds,
        machine=_machine(),
        seed=trained.seed,
        start=trained.start,
        size_hw=SIZE_HW,
        parameters=sum(weight.numel() for weight in trained.network.parameters()),
        file_bytes=path.stat().st_size,
    )
