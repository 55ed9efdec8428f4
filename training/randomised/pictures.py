"""Pictures of random scenes with the truth about who is in them."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.camera_view import Grade, View, grade_of
from training.meshes import joined
from training.people import Person, make_people
from training.randomised.cameras import random_views
from training.randomised.chairs import random_chairs
from training.randomised.people import random_bones, random_people
from training.randomised.room import random_room
from training.randomised.shops import crowd_bones, random_shop
from training.render import Rendered, Renderer
from training.room import Room
from training.scenery import room_mesh

SIZE = (640, 360)
SHOPS_FROM = 500_000
"""Scenes from this seed on, and below those held out, are shops."""
_SHOPS = range(SHOPS_FROM, 1_000_000)
_PASSES = 6
_SHOP_PASSES = 10
_MIN_SIDE_PX = 2.0


Scene = tuple[Room, tuple[Person, ...], Renderer]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """``bgr`` (height, width, 3) uint8; ``boxes_xyxy`` (P, 4) float32 in its pixels around whole
    people, cut at the border; ``visibility`` (P,) float32 0..1, the share that is to be seen.
    """

    bgr: npt.NDArray[np.uint8]
    boxes_xyxy: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.float32]


def scene_pictures(
    seed: int, cameras: int = 4, moments: int = 10, size: tuple[int, int] = SIZE
) -> Iterator[Labelled]:
    """The pictures of one random room: ``moments`` of ``cameras`` each, ``size`` is width, height.
    The same arguments give the same pictures.
    """
    random = np.random.default_rng((seed, 4099))
    if seed in _SHOPS:
        (room, people, renderer), placed = _shop(seed, cameras, size, random), crowd_bones
    else:
        (room, people, renderer), placed = _any_room(cameras, size, random), random_bones
    try:
        for moment in range(moments):
            bones = placed(room, people, random)
            for picture in renderer.render(bones, seed * 1000 + moment):
                yield labelled(picture)
    finally:
        renderer.release()


def _any_room(cameras: int, size: tuple[int, int], random: np.random.Generator) -> Scene:
    room, scenery = random_room(random)
    people = random_people(int(random.integers(3, 21)), random)
    views = random_views(room, cameras, size, random)
    return room, people, Renderer(room, people, views, scenery=scenery, passes=_PASSES)


def _shop(seed: int, cameras: int, size: tuple[int, int], random: np.random.Generator) -> Scene:
    room = random_shop(random)
    people = make_people(int(random.integers(8, 25)), int(random.integers(1 << 31)))
    views: list[tuple[View, Grade]] = [
        (view, grade_of(k, seed))
        for k, (view, _) in enumerate(random_views(room, cameras, size, random))
    ]
    scenery = joined([room_mesh(room), *random_chairs(room, random)])
    return room, people, Renderer(room, people, views, scenery=scenery, passes=_SHOP_PASSES)


def labelled(picture: Rendered) -> Labelled:
    """Colours and the truth of one camera's picture; people of whom nothing shows are left out."""
    bgr = np.asarray(cv2.cvtColor(picture.i420, cv2.COLOR_YUV2BGR_I420), dtype=np.uint8)
    border = np.array([bgr.shape[1], bgr.shape[0]] * 2)
    boxes = np.clip(np.nan_to_num(picture.boxes_xyxy), 0, border)
    side = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    seen = (picture.visibility > 0.01) & (side >= _MIN_SIDE_PX)
    return Labelled(
        bgr, boxes[seen].astype(np.float32), picture.visibility[seen].astype(np.float32)
    )
