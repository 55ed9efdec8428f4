"""From rendered pictures to training samples: cut out, put together, covered up, badly filmed."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from training.randomised.pictures import Labelled

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

PAD_VALUE = 114
# Below this share to be seen a person is neither asked for nor held against who finds it.
LEAST_VISIBLE = 0.2
_HALF_HIDDEN = (0.35, 0.85)
_HALF_HIDDEN_WORTH = 2.0
"""People seen in part are the ones whose boxes miss; each box counts as two."""
_LEAST_SIDE_PX = 5.0
_WELL_FILMED = 0.4
"""Share of samples that show a scene as it was rendered, which a good camera comes near to."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """``bgr`` (H, W, 3) uint8, ``boxes_xyxy`` (P, 4) float32 to be found, ``worth`` (P,) how much
    each box counts, ``ignored_xyxy`` (Q, 4) where finding or missing somebody does not count.
    """

    bgr: Picture
    boxes_xyxy: Floats
    worth: Floats
    ignored_xyxy: Floats


def training_sample(
    pictures: Sequence[Labelled], size_hw: tuple[int, int], random: np.random.Generator
) -> Sample:
    """A sample of ``size_hw`` from one picture or, from four, a mosaic of their parts."""
    if len(pictures) == 1:
        scene = zoomed(pictures[0], size_hw, random)
    else:
        scene = _mosaic(pictures, size_hw, random)
    if random.uniform() < 0.5:
        scene = _mirrored(scene)
    if random.uniform() < _WELL_FILMED:
        return _sample(scene.bgr, scene)
    for _ in range(random.choice([0, 0, 1, 2, 4])):
        scene = _covered(scene, random)
    return _sample(badly_filmed(scene.bgr, random), scene)


def letterboxed(picture: Labelled, size_hw: tuple[int, int]) -> Sample:
    """The whole picture at the top left, as the product does it."""
    height, width = picture.bgr.shape[:2]
    scale = min(size_hw[0] / height, size_hw[1] / width)
    bgr = np.full((*size_hw, 3), PAD_VALUE, np.uint8)
    small = cv2.resize(picture.bgr, (round(width * scale), round(height * scale)))
    bgr[: small.shape[0], : small.shape[1]] = small
    return _sample(bgr, Labelled(bgr, picture.boxes_xyxy * scale, picture.visibility))


def zoomed(picture: Labelled, size_hw: tuple[int, int], random: np.random.Generator) -> Labelled:
    """A part of the picture enlarged, or all of it smaller, somewhere in a frame of ``size_hw``."""
    height, width = picture.bgr.shape[:2]
    fit = min(size_hw[0] / height, size_hw[1] / width)
    zoom = 1.0 if random.uniform() < 0.35 else np.exp(random.uniform(np.log(0.6), np.log(2.2)))
    aspect = np.exp(random.normal(0, 0.06))
    scale = np.array([fit * zoom * aspect, fit * zoom / aspect])
    room = np.array(size_hw[::-1]) - scale * (width, height)
    shift = random.uniform(0, 1, 2) * room
    matrix = np.column_stack([np.diag(scale), shift])
    way = cv2.INTER_AREA if zoom * fit < 0.6 else cv2.INTER_LINEAR
    fill = (PAD_VALUE,) * 3 if random.uniform() < 0.5 else random.integers(0, 255, 3).tolist()
    bgr = cv2.warpAffine(picture.bgr, matrix, size_hw[::-1], flags=way, borderValue=fill)
    boxes = picture.boxes_xyxy * np.tile(scale, 2) + np.tile(shift, 2)
    return _cut(np.asarray(bgr, np.uint8), boxes, picture.visibility)


def badly_filmed(bgr: Picture, random: np.random.Generator) -> Picture:
    """Other colours and light, blur, noise and compression."""
    bgr = np.asarray(cv2.transform(bgr, _colour_matrix(random)), np.uint8)
    bgr = np.asarray(cv2.LUT(bgr, _curves(random)), np.uint8)
    if random.uniform() < 0.3:
        bgr = _blurred(bgr, random)
    if random.uniform() < 0.5:
        bgr = _noisy(bgr, random)
    if random.uniform() < 0.35:
        jpeg = simplejpeg.encode_jpeg(
            np.ascontiguousarray(bgr), quality=int(random.integers(18, 80)), colorspace="BGR"
        )
        bgr = simplejpeg.decode_jpeg(jpeg, colorspace="BGR")
    return bgr


def _mosaic(
    pictures: Sequence[Labelled], size_hw: tuple[int, int], random: np.random.Generator
) -> Labelled:
    height, width = size_hw
    split = (random.uniform(0.3, 0.7, 2) * (width, height)).astype(int).tolist()
    bgr = np.empty((height, width, 3), np.uint8)
    boxes, visibility = [], []
    for number, picture in enumerate(pictures):
        x0, x1 = ((0, split[0]), (split[0], width))[number % 2]
        y0, y1 = ((0, split[1]), (split[1], height))[number // 2]
        part = zoomed(picture, (y1 - y0, x1 - x0), random)
        bgr[y0:y1, x0:x1] = part.bgr
        boxes.append(part.boxes_xyxy + np.array([x0, y0, x0, y0], np.float32))
        visibility.append(part.visibility)
    return Labelled(bgr, np.concatenate(boxes), np.concatenate(visibility))


def _mirrored(scene: Labelled) -> Labelled:
    boxes, width = scene.boxes_xyxy.copy(), scene.bgr.shape[1]
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return Labelled(np.ascontiguousarray(scene.bgr[:, ::-1]), boxes, scene.visibility)


def _covered(scene: Labelled, random: np.random.Generator) -> Labelled:
    """A rectangle of one colour, of noise, or of another part of the picture lies on it."""
    height, width = scene.bgr.shape[:2]
    size = (np.exp(random.uniform(np.log(0.02), np.log(0.3), 2)) * (width, height)).astype(int) + 1
    low = (random.uniform(0, 1, 2) * ((width, height) - size)).astype(int)
    (x0, y0), (x1, y1) = low.tolist(), (low + size).tolist()
    bgr, kind = scene.bgr.copy(), random.integers(3)
    if kind == 0:
        bgr[y0:y1, x0:x1] = random.integers(0, 255, 3)
    elif kind == 1:
        coarse = random.integers(0, 255, (*random.integers(2, 9, 2), 3)).astype(np.uint8)
        bgr[y0:y1, x0:x1] = cv2.resize(coarse, (x1 - x0, y1 - y0))
    else:
        bgr[y0:y1, x0:x1] = cv2.blur(bgr[y0:y1, x0:x1], (41, 41))
    shared_low = np.maximum(scene.boxes_xyxy[:, :2], low)
    shared_high = np.minimum(scene.boxes_xyxy[:, 2:], low + size)
    hidden = np.clip(shared_high - shared_low, 0, None).prod(axis=1) / _areas(scene.boxes_xyxy)
    return Labelled(bgr, scene.boxes_xyxy, (scene.visibility * (1 - hidden)).astype(np.float32))


def _cut(bgr: Picture, boxes: npt.NDArray[np.floating], visibility: Floats) -> Labelled:
    """Boxes cut at the border; what is beyond it is no longer to be seen."""
    inside = np.clip(boxes, 0, np.array([bgr.shape[1], bgr.shape[0]] * 2)).astype(np.float32)
    left = _areas(inside) / _areas(boxes)
    kept = left > 0.01
    return Labelled(bgr, inside[kept], (visibility * left)[kept].astype(np.float32))


def _areas(boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 1e-3, None).prod(axis=1))


def _sample(bgr: Picture, scene: Labelled) -> Sample:
    small = (scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2]).min(axis=1) < _LEAST_SIDE_PX
    wanted = (scene.visibility >= LEAST_VISIBLE) & ~small
    low, high = _HALF_HIDDEN
    half = (scene.visibility >= low) & (scene.visibility < high)
    worth = np.where(half, _HALF_HIDDEN_WORTH, 1.0).astype(np.float32)
    return Sample(bgr, scene.boxes_xyxy[wanted], worth[wanted], scene.boxes_xyxy[~wanted])


def _colour_matrix(random: np.random.Generator) -> Floats:
    """(3, 3): saturation from none to strong, and some mixing of the channels."""
    saturation = 0.0 if random.uniform() < 0.12 else float(random.uniform(0.25, 1.5))
    grey = np.array([0.114, 0.587, 0.299])
    matrix = saturation * np.eye(3) + (1 - saturation) * np.tile(grey, (3, 1))
    return np.asarray(matrix + random.normal(0, 0.05 * saturation, (3, 3)), np.float32)


def _curves(random: np.random.Generator) -> Picture:
    """(1, 256, 3) tables: gamma, contrast, brightness and a cast."""
    x = np.linspace(0, 1, 256)[:, None] ** np.exp(random.normal(0, 0.3))
    cast = np.exp(random.normal(0, 0.07, 3))
    y = ((x - 0.5) * np.exp(random.normal(0, 0.25)) + 0.5) * cast + random.normal(0, 0.08)
    return np.asarray(np.clip(255 * y, 0, 255)[None], np.uint8)


def _blurred(bgr: Picture, random: np.random.Generator) -> Picture:
    if random.uniform() < 0.5:
        return np.asarray(cv2.GaussianBlur(bgr, (0, 0), random.uniform(0.3, 1.4)), np.uint8)
    height, width = bgr.shape[:2]
    share = random.uniform(0.4, 0.9)
    small = cv2.resize(bgr, (int(width * share), int(height * share)))
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def _noisy(bgr: Picture, random: np.random.Generator) -> Picture:
    """Noise of the sensor, finer or coarser than a pixel."""
    strip = _NOISE[random.integers(len(_NOISE))]
    start = int(random.integers(len(strip) - bgr.size))
    grain = strip[start : start + bgr.size].reshape(bgr.shape)
    return np.asarray(cv2.addWeighted(bgr, 1.0, grain, 1.0, -128.0), np.uint8)


def _noise_strips() -> list[Picture]:
    random = np.random.default_rng(5)
    strips = (random.normal(128, sigma, 1 << 21) for sigma in (2.0, 4.0, 7.0, 11.0))
    return [np.clip(np.round(strip), 0, 255).astype(np.uint8) for strip in strips]


_NOISE = _noise_strips()
