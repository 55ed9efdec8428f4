"""Batches to learn from, made by other processes while the network learns."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.detection.loss import Truth
from training.detection.pictures import is_shop, opened, read_scene, scene_files
from training.detection.samples import Sample, training_sample
from training.randomised.pictures import Labelled

SIZE_HW = (288, 512)
_MOSAICS = 0.25
_SHOP_SHARE = 0.6
"""Of the pictures, where there are both shops and rooms of any kind."""

Batch = tuple[Tensor, Truth]


class Batches(Dataset[Batch]):
    """Step ``k`` of a training as its element: pictures (N, H, W, 3) uint8 BGR, and their truth.

    What it holds follows from the scenes, the recipe's seed and the step alone. Raises
    InvalidInputError if ``folder`` has none of the scenes ``seeds``.
    """

    def __init__(self, folder: Path, seeds: Sequence[int], size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        paths = scene_files(folder, seeds)
        self.scenes = len(paths)
        self._kinds = [
            [one for path in paths if is_shop(path) == shops for one in read_scene(path)]
            for shops in (True, False)
        ]

    @property
    def pictures(self) -> int:
        """How many there are to take samples from."""
        return sum(len(kind) for kind in self._kinds)

    def __getitem__(self, step: int) -> Batch:
        """See the class."""
        cv2.setNumThreads(1)
        random = np.random.default_rng((self._seed, step))
        samples = [self._sample(random) for _ in range(self._size)]
        truth = Truth.of(
            [torch.from_numpy(one.boxes_xyxy) for one in samples],
            [torch.from_numpy(one.ignored_xyxy) for one in samples],
            [torch.from_numpy(one.worth) for one in samples],
        )
        return torch.from_numpy(np.stack([one.bgr for one in samples])), truth

    def steps(self, steps: range, workers: int, *, pinned: bool) -> Iterator[Batch]:
        """Those of ``steps`` in order, made by ``workers`` processes."""
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            pin_memory=pinned,
            prefetch_factor=4,
        )
        yield from loader

    def _sample(self, random: np.random.Generator) -> Sample:
        count = 4 if random.uniform() < _MOSAICS else 1
        return training_sample([self._picture(random) for _ in range(count)], SIZE_HW, random)

    def _picture(self, random: np.random.Generator) -> Labelled:
        shops, rooms = self._kinds
        share = _SHOP_SHARE if shops and rooms else float(bool(shops))
        kind = shops if random.uniform() < share else rooms
        return opened(kind[int(random.integers(len(kind)))])
