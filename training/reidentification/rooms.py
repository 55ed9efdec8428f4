"""Made-up rooms, lamps and cameras, different for each seed."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from homography.environment import Camera
from homography.ground_plane import GroundPlane
from homography.lens import Lens
from training.camera_view import Grade
from training.demo_room import demo_room, hall
from training.room import Room

CAMERAS = 4
_LAMPS = 4
_SIZES = ((960, 540), (1280, 720), (800, 450))


@dataclass(frozen=True, slots=True)
class Place:
    """A room and the cameras in it with their own looks."""

    room: Room
    cameras: tuple[tuple[Camera, Grade], ...]


def make_place(seed: int) -> Place:
    """One time in three the shop of the demo, with other lamps and cameras than its own."""
    random = np.random.default_rng((seed, 409))
    room = _relit(demo_room() if random.uniform() < 0.33 else _any_hall(random), random)
    size = _SIZES[int(random.integers(len(_SIZES)))]
    cameras = [_camera(k, room, size, random) for k in range(CAMERAS)]
    return Place(room, tuple((camera, _grade(random)) for camera in cameras))


def _any_hall(random: np.random.Generator) -> Room:
    width, depth, height = random.uniform((7, 6, 2.7), (14, 11, 5.2)).tolist()
    return hall((0.0, 0.0, width, depth), height)


def _relit(room: Room, random: np.random.Generator) -> Room:
    x0, y0, x1, y1 = room.bounds_m
    low, high = (x0 + 1, y0 + 1), (x1 - 1, y1 - 1)
    spots = random.uniform(low, high, (_LAMPS, 2)).tolist()
    lamps = tuple((x, y, room.ceiling_m - 0.04) for x, y in spots)
    return replace(room, lights_m=lamps, floor=int(random.integers(2)))


def _camera(number: int, room: Room, size: tuple[int, int], random: np.random.Generator) -> Camera:
    """Near a wall, 1.8 m to 5 m high, looking across the room, level within five degrees."""
    width, height = size
    focal = width / 2 / np.tan(np.radians(random.uniform(45, 90)) / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    R, t = _pose(room, random)
    matrix = np.linalg.inv(K @ np.column_stack([R[:, 0], R[:, 1], t]))
    lens = Lens.from_coefficients(K)
    plane = GroundPlane.from_matrix(matrix, width, height, lens=lens)
    name = f"r{number}"
    return Camera(name, name, "", width, height, 10.0, name, plane, None, ())


def _pose(
    room: Room, random: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x0, y0, x1, y1 = room.bounds_m
    around = random.uniform((x0, y0), (x1, y1))
    side = int(random.integers(4))
    around[side % 2] = (x0 + 0.3, y0 + 0.3, x1 - 0.3, y1 - 0.3)[side]
    centre = np.array([*around, random.uniform(1.8, min(5.0, room.ceiling_m - 0.15))])
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    target = middle + random.uniform(-0.2, 0.2, 2) * (x1 - x0, y1 - y0)
    forward = np.array([*target, random.uniform(0, 1.2)]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    tilt = np.radians(random.normal(0, 2.5))
    down = np.cross(forward, right)
    right, down = (
        np.cos(tilt) * right + np.sin(tilt) * down,
        np.cos(tilt) * down - np.sin(tilt) * right,
    )
    R = np.stack([right, down, forward])
    return R, -R @ centre


def _grade(random: np.random.Generator) -> Grade:
    warmth, green = random.normal(0, 0.07), random.normal(0, 0.025)
    return Grade(
        exposure=float(random.uniform(0.65, 1.4)),
        gain_rgb=(1 + warmth, 1 + green, 1 - warmth),
        vignette=float(random.uniform(0.05, 0.4)),
        noise=float(random.uniform(0.8, 5.0)),
        blur_px=float(random.uniform(0.35, 1.3)),
    )
