"""Arguments that several actions share."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from control_plane.embedded import running_services
from control_plane.settings import Settings
from homography.environment import load_environments
from plugins.deepstream.presence import choose_profile, look_around
from plugins.errors import InvalidInputError
from plugins.evaluation.footage import Footage
from plugins.evaluation.layouts import read_footage
from plugins.inference.layouts.base import ModelName
from plugins.inference.model_import import MODEL_FILE, serving_version
from plugins.inference.tensorrt_build import PLAN_FILE
from plugins.inference.triton_client import Triton
from training.simulate import Order, simulate

MODELS: tuple[ModelName, ...] = get_args(ModelName)
DEMO = ("demo", 7, 8, 20.0)


def size(text: str) -> tuple[int, int]:
    """``320x320`` as (height, width)."""
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 320x320")
    return int(height), int(width)


def one_version(text: str) -> tuple[ModelName, int]:
    """``person_reid/2`` as model and version."""
    model, _, version = text.partition("/")
    for known in MODELS:
        if model == known and version.isdecimal():
            return known, int(version)
    raise argparse.ArgumentTypeError(
        f"{text!r} is not MODEL/VERSION, such as person_reid/2; models: {', '.join(MODELS)}"
    )


def serving_folder(settings: Settings, model: str) -> Path:
    """Version folder that serves; InvalidInputError where the model has none."""
    folder = serving_version(settings.model_repository / model)
    if folder is None:
        raise InvalidInputError(
            f"{settings.model_repository / model} has no version: import one, see "
            "`spoton models pull --list`"
        )
    return folder


def engine_file(settings: Settings) -> str:
    """What Triton serves on the profile: the one that is set, else this machine's."""
    profile = settings.profile
    if profile == "auto":
        profile = choose_profile(profile, look_around()).name
    return PLAN_FILE if profile == "gpu" else MODEL_FILE


@contextmanager
def running_triton(settings: Settings) -> Iterator[Triton | None]:
    """The server at TRITON_URL, or the one that another command runs here; None without either."""
    with running_services(settings, needed=()) as complete:
        if complete.triton_url is None:
            yield None
            return
        triton = Triton(complete.triton_url, repository=settings.model_repository)
        try:
            yield triton
        finally:
            triton.close()


def footage_at(folder: Path | None, settings: Settings) -> Footage:
    """Recorded footage of any layout that `spoton evaluate` reads; without a folder a demo scene,
    rendered once.
    """
    catalogue = load_environments(settings.environment_folders())
    if folder is None:
        name, seed, people, seconds = DEMO
        place = f"{name}-{people}-people-{seconds:g}-s-seed-{seed}"
        folder = settings.data_dir.resolve() / "evaluation" / place
        order = Order(catalogue.environments[name], seed, people, seconds, folder)
        simulate(order, lambda _done, _of: None)
    return read_footage(folder, catalogue)
