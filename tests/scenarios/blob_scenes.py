"""Many small environments in one installation: the red and blue world, each with its own damage."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.blob_world import CAMERAS, BlobWorld, environment_toml, record, write_models

SUB_VIDEOS, FRAMES_EACH = 3, 10
SETS = SUB_VIDEOS * FRAMES_EACH
Damage = Callable[[Path], None]


def make_scenes(folder: Path, damages: Mapping[str, Damage]) -> BlobWorld:
    """An environment for each name; its damage is done to the recordings, a folder per camera."""
    world = BlobWorld(folder / "environments", folder / "recordings", folder / "model_repository")
    world.environments.mkdir(parents=True)
    whole = folder / "whole"
    for camera_id in CAMERAS:
        record(whole / camera_id, camera_id, (FRAMES_EACH,) * SUB_VIDEOS)
    for name, damage in damages.items():
        (world.environments / f"{name}.toml").write_text(named_toml(name), encoding="utf-8")
        damage(Path(shutil.copytree(whole, world.recordings / name)))
    write_models(world.model_repository)
    return world


def make_long_world(folder: Path, rounds: int) -> BlobWorld:
    """Environment ``blobs``, in which the twelve seconds are played ``rounds`` times over."""
    world = BlobWorld(folder / "environments", folder / "recordings", folder / "model_repository")
    world.environments.mkdir(parents=True)
    (world.environments / "blobs.toml").write_text(environment_toml(), encoding="utf-8")
    for camera_id in CAMERAS:
        record(folder / "whole" / camera_id, camera_id, (40, 40, 40))
        target = world.recordings / "blobs" / camera_id
        target.mkdir(parents=True)
        for number in range(3 * rounds):
            source = folder / "whole" / camera_id / f"sub_video_{number % 3 + 1:02d}.mp4"
            shutil.copy(source, target / f"sub_video_{number + 1:02d}.mp4")
    write_models(world.model_repository)
    return world


def named_toml(name: str) -> str:
    """The environment's file under another name, its recordings in a folder of that name."""
    return environment_toml().replace('"blobs', f'"{name}')
