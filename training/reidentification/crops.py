"""Renders pictures of people for training, one file for each scene."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from homography.environment import Camera
from plugins.errors import InvalidInputError
from plugins.frames import Frame
from plugins.inference.pictures import write_crop
from training.camera_view import view_of
from training.gait import Motion, bone_matrices
from training.people import Person
from training.reidentification.rooms import Place, make_place
from training.reidentification.wardrobe import PEOPLE, dressed_people
from training.render import Rendered, Renderer
from training.room import Room

Pixels = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 160, 80
"""A stored crop has a margin of ``MARGIN`` of the box on each side, for boxes that are off."""
MARGIN = 0.125
MOMENTS = 12
_MIN_VISIBILITY = 0.35
_MIN_BOX_PX = 36.0


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """``pixels`` (N, 3, 160, 80) uint8 RGB; ``person``, ``camera`` (N,) numbers that are unique
    over all scenes; person 2k + 1 is dressed like 2k. ``visibility`` (N,) 0..1.
    """

    pixels: Pixels
    person: npt.NDArray[np.int32]
    camera: npt.NDArray[np.int32]
    visibility: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.person)


def render_crops(out: Path, seeds: range, workers: int, tell: Callable[[int, int], None]) -> None:
    """Writes ``scene-SEED.npz``, 32 people each, for those seeds that have none yet. ``tell`` is
    told scenes done and in all.
    """
    out.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not _part(out, seed).exists()]
    tell(len(seeds) - len(missing), len(seeds))
    context = multiprocessing.get_context("spawn")
    # A process keeps its OpenGL contexts until it ends.
    with context.Pool(workers, maxtasksperchild=4) as pool:
        jobs = pool.imap_unordered(partial(_render_part, out), missing)
        for done, _ in enumerate(jobs, start=len(seeds) - len(missing) + 1):
            tell(done, len(seeds))


def read_crops(folder: Path, seeds: Sequence[int]) -> Crops:
    """All pictures at once, in memory: 38 kB each."""
    scenes = [_read(_part(folder, seed)) for seed in seeds]
    pixels = np.concatenate([scene.pixels for scene in scenes])
    person = np.concatenate([scene.person for scene in scenes])
    camera = np.concatenate([scene.camera for scene in scenes])
    visibility = np.concatenate([scene.visibility for scene in scenes])
    return Crops(pixels, person, camera, visibility)


def render_scene(seed: int, moments: int = MOMENTS) -> Crops:
    """Crops of 32 people in one place; people and cameras are numbered from ``seed``."""
    cv2.setNumThreads(1)
    place, people = make_place(seed), dressed_people(seed)
    random = np.random.default_rng((seed, 419))
    views = [(view_of(camera), grade) for camera, grade in place.cameras]
    renderer = Renderer(place.room, people, views)
    bones = _moments(place.room, people, moments, random)
    pixels, labels = [], []
    for moment in range(moments):
        pictures = renderer.render(bones[:, moment], moment)
        for number, picture in enumerate(pictures):
            for person in _whole_enough(picture):
                pixels.append(_crop(place, number, picture, person))
                labels.append((person, number, picture.visibility[person]))
    person, camera, visibility = np.array(labels).T
    return Crops(
        np.stack(pixels),
        (person + seed * PEOPLE).astype(np.int32),
        (camera + seed * len(place.cameras)).astype(np.int32),
        visibility.astype(np.float32),
    )


def _part(out: Path, seed: int) -> Path:
    return out / f"scene-{seed:06d}.npz"


def _render_part(out: Path, seed: int) -> None:
    crops = render_scene(seed)
    part = out / f".scene-{seed:06d}.npz"
    np.savez(
        part,
        pixels=crops.pixels,
        person=crops.person,
        camera=crops.camera,
        visibility=crops.visibility,
    )
    part.replace(_part(out, seed))


def _read(path: Path) -> Crops:
    if not path.exists():
        raise InvalidInputError(
            f"{path} is missing: run python -m training.reidentification render"
        )
    content = np.load(path)
    return Crops(content["pixels"], content["person"], content["camera"], content["visibility"])


def _moments(
    room: Room, people: tuple[Person, ...], count: int, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(P, count, 13, 3, 4): each moment everybody is somewhere else, in another phase of a step."""
    x0, y0, x1, y1 = room.bounds_m
    shape = (len(people), count)
    position = random.uniform((x0 + 0.3, y0 + 0.3), (x1 - 0.3, y1 - 0.3), (*shape, 2))
    crowd = random.uniform(0.25, 0.9, count)
    position[random.uniform(size=shape) > crowd] = np.nan
    speed = random.uniform(0.4, 1.7, shape) * (random.uniform(size=shape) < 0.65)
    heading, cycles = random.uniform(-np.pi, np.pi, shape), random.uniform(0, 1, shape)
    seconds = random.uniform(0, 60, shape)
    return np.stack(
        [
            bone_matrices(p, Motion(position[k], heading[k], speed[k], cycles[k], seconds[k]))
            for k, p in enumerate(people)
        ]
    )


def _whole_enough(picture: Rendered) -> list[int]:
    height_px = picture.boxes_xyxy[:, 3] - picture.boxes_xyxy[:, 1]
    with np.errstate(invalid="ignore"):
        is_good = (picture.visibility >= _MIN_VISIBILITY) & (height_px >= _MIN_BOX_PX)
    return [int(k) for k in np.nonzero(is_good)[0]]


def _crop(place: Place, number: int, picture: Rendered, person: int) -> Pixels:
    camera: Camera = place.cameras[number][0]
    frame = Frame(camera.camera_id, 0, camera.width, camera.height, picture.i420)
    border = (camera.width, camera.height)
    low = np.clip(picture.boxes_xyxy[person, :2], 0, border)
    high = np.clip(picture.boxes_xyxy[person, 2:], 0, border)
    return cut_with_margin(frame, low, high)


def cut_with_margin(
    frame: Frame, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> Pixels:
    """(3, 160, 80) of the box and its margin; what lies beyond the picture repeats its border."""
    margin = (high - low) * MARGIN
    around_low, around_high = low - margin, high + margin
    inside_low = np.maximum(around_low, 0)
    inside_high = np.minimum(around_high, (frame.width, frame.height))
    scale = np.array([WIDTH, HEIGHT]) / (around_high - around_low)
    left, top = np.round((inside_low - around_low) * scale).astype(int) // 2 * 2
    right, bottom = np.round((around_high - inside_high) * scale).astype(int) // 2 * 2
    inner = np.empty((3, HEIGHT - top - bottom, WIDTH - left - right), np.uint8)
    x0, y0, x1, y1 = (float(v) for v in (*inside_low, *inside_high))
    write_crop(frame, (x0, y0, x1, y1), inner)
    return np.pad(inner, ((0, 0), (top, bottom), (left, right)), mode="edge")
