"""The training pictures as files: one per random scene, JPEGs with their truth."""

import multiprocessing
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import msgspec
import numpy as np
import simplejpeg

from plugins.errors import InvalidInputError
from training.randomised.pictures import SHOPS_FROM, Labelled, scene_pictures

_QUALITY = 92


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """One picture: ``truth`` has a row x0, y0, x1, y1, visibility for each person."""

    jpeg: bytes
    truth: list[tuple[float, float, float, float, float]]


def render_scenes(
    folder: Path, seeds: Sequence[int], moments: int = 10, workers: int = 1
) -> Iterator[int]:
    """Writes the scenes that ``folder`` has not got yet, ``workers`` at a time; yields how many
    are there, each time one is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not _path(folder, seed).exists()]
    yield len(seeds) - len(missing)
    # A new process each time: some drivers keep what a context held until then.
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=8) as pool:
        jobs = pool.imap_unordered(partial(_render_scene, folder, moments), missing)
        for done, _ in enumerate(jobs, start=len(seeds) - len(missing) + 1):
            yield done


def scene_files(folder: Path, seeds: Sequence[int]) -> list[Path]:
    """The scenes of ``seeds`` that are there; InvalidInputError if there is none."""
    paths = [path for path in (_path(folder, seed) for seed in seeds) if path.exists()]
    if not paths:
        raise InvalidInputError(
            f"{folder} has no rendered scenes: run python -m training.detection render"
        )
    return paths


def is_shop(path: Path) -> bool:
    """Whether a scene's file, as ``scene_files`` names it, shows a shop."""
    return int(path.stem.removeprefix("scene_")) >= SHOPS_FROM


def read_scene(path: Path) -> list[Stored]:
    """All pictures of one scene."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Stored])


def opened(stored: Stored) -> Labelled:
    """The picture itself."""
    bgr = simplejpeg.decode_jpeg(stored.jpeg, colorspace="BGR")
    truth = np.array(stored.truth, np.float32).reshape(-1, 5)
    return Labelled(bgr, truth[:, :4], truth[:, 4])


def _render_scene(folder: Path, moments: int, seed: int) -> None:
    cv2.setNumThreads(1)
    path = _path(folder, seed)
    stored = [_stored(picture) for picture in scene_pictures(seed, moments=moments)]
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.msgpack.encode(stored))
    part.replace(path)


def _stored(picture: Labelled) -> Stored:
    jpeg = simplejpeg.encode_jpeg(picture.bgr, quality=_QUALITY, colorspace="BGR")
    truth = np.column_stack([picture.boxes_xyxy, picture.visibility]).round(3).tolist()
    return Stored(jpeg, [tuple(row) for row in truth])


def _path(folder: Path, seed: int) -> Path:
    return folder / f"scene_{seed:07d}.msgpack"
