"""Batches to learn from: people in pairs dressed alike, boxes as inexact as a detector's."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.reidentification.crops import HEIGHT, MARGIN, WIDTH, Crops

Pixels = npt.NDArray[np.uint8]

INPUT_HEIGHT, INPUT_WIDTH = 128, 64
CROPS_EACH = 4
_MIN_CROPS = 4
_EDGE_SIGMA = 0.045
_SHARE_WITHOUT_LEGS, _SHARE_HALF_HIDDEN = 0.12, 0.06


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """``pixels`` (B, 3, 128, 64) uint8 RGB, ``person`` (B,) indices into the sampler's people."""

    pixels: Pixels
    person: npt.NDArray[np.int64]


class Sampler:
    """Draws batches. What it draws depends on the seed and the number of the step alone."""

    def __init__(self, crops: Crops, seed: int, people_per_batch: int) -> None:
        self._crops, self._seed, self._pairs = crops, seed, people_per_batch // 2
        ids, counts = np.unique(crops.person, return_counts=True)
        order = np.argsort(crops.person, kind="stable")
        rows = np.split(order, np.cumsum(counts)[:-1])
        enough = {int(i): r for i, r in zip(ids, rows, strict=True) if len(r) >= _MIN_CROPS}
        self._people = [k for k in enough if k ^ 1 in enough]
        self._rows = [enough[k] for k in self._people]

    @property
    def people(self) -> int:
        """How many people there are to tell apart; neighbours 2k and 2k + 1 are dressed alike."""
        return len(self._people)

    def __getitem__(self, step: int) -> Batch:
        """The batch of one step."""
        random = np.random.default_rng((self._seed, step))
        pairs = random.choice(self.people // 2, self._pairs, replace=False)
        chosen = np.stack([2 * pairs, 2 * pairs + 1], 1).ravel()
        rows = np.concatenate([self._rows_of(int(k), random) for k in chosen])
        pixels = [as_detected(self._crops.pixels[row], random) for row in rows]
        return Batch(np.stack(pixels), np.repeat(chosen, CROPS_EACH))

    def _rows_of(self, person: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Crops from as many cameras as there are."""
        rows = random.permutation(self._rows[person])
        seen = self._crops.camera[rows]
        turn = np.array([int((seen[:k] == camera).sum()) for k, camera in enumerate(seen)])
        return np.asarray(rows[np.argsort(turn, kind="stable")][:CROPS_EACH])


def centred(pixels: Pixels) -> Pixels:
    """(N, 3, 128, 64): stored crops (N, 3, 160, 80) without their margin."""
    return np.stack([_cut(crop, _true_box()) for crop in pixels])


def as_detected(crop: Pixels, random: np.random.Generator) -> Pixels:
    """(3, 128, 64) of a stored crop (3, 160, 80): edges off, now and then the legs or one side
    left out, and mirrored one time in two.
    """
    box = _true_box()
    side = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    box = box + np.clip(random.normal(0, _EDGE_SIGMA, 4), -MARGIN, MARGIN) * side
    chance = random.uniform()
    if chance < _SHARE_WITHOUT_LEGS:
        box[3] -= random.uniform(0.1, 0.5) * side[1]
    elif chance < _SHARE_WITHOUT_LEGS + _SHARE_HALF_HIDDEN:
        box[int(random.integers(2)) * 2] += (
            random.choice([-1, 1]) * random.uniform(0.1, 0.3) * side[0]
        )
    found = _cut(crop, np.clip(box, 0, (WIDTH, HEIGHT, WIDTH, HEIGHT)))
    return found[:, :, ::-1] if random.uniform() < 0.5 else found


def _true_box() -> npt.NDArray[np.float64]:
    edge = MARGIN / (1 + 2 * MARGIN)
    return np.array([edge, edge, 1 - edge, 1 - edge]) * (WIDTH, HEIGHT, WIDTH, HEIGHT)


def _cut(crop: Pixels, box_xyxy: npt.NDArray[np.float64]) -> Pixels:
    x0, y0, x1, y1 = (round(v) for v in box_xyxy.tolist())
    part = np.ascontiguousarray(
        crop[:, y0 : max(y1, y0 + 8), x0 : max(x1, x0 + 8)].transpose(1, 2, 0)
    )
    resized = cv2.resize(part, (INPUT_WIDTH, INPUT_HEIGHT))
    return np.asarray(resized, np.uint8).transpose(2, 0, 1)
