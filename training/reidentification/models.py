"""Embedders that keep the contract, as ONNX Runtime runs them: the bundled one and open ones."""

import shutil
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from plugins.errors import InvalidModelError
from plugins.inference.model_import import import_model
from training.reidentification.gallery import SizeHW
from training.reidentification.metrics import Floats

_CONFIGS = Path(__file__).parent.parent.parent / "model_repository"
_OPEN_MODELS = {
    "osnet_x0_25_msmt17.onnx": "osnet",
    "person-reidentification-retail-0248.onnx": "openvino-reid",
}
_BATCH = 16
_THREADS = 2


class Model:
    """An ONNX file of the contract in ONNX Runtime."""

    def __init__(self, name: str, path: Path) -> None:
        if not path.is_file():
            raise InvalidModelError(f"{path} is missing: train it, or restore it from git")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _THREADS
        self.name = name
        self._session = onnxruntime.InferenceSession(str(path), options)
        height, width = self._session.get_inputs()[0].shape[2:]
        self.size: SizeHW = (height, width)

    def dimension(self) -> int:
        """Length of a vector."""
        return self._run(np.zeros((1, 3, *self.size), np.uint8)).shape[1]

    def embed(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """(N, D) for uint8 RGB (N, 3, *size)."""
        parts = [self._run(pixels[k : k + _BATCH]) for k in range(0, len(pixels), _BATCH)]
        return np.concatenate(parts)

    def crops_per_s(self, repeats: int = 30) -> float:
        """Best of ``repeats`` runs of 16 crops on two threads."""
        pixels = np.random.default_rng(0).integers(0, 256, (_BATCH, 3, *self.size), np.uint8)
        self._run(pixels)
        taken = []
        for _ in range(repeats):
            started = time.perf_counter()
            self._run(pixels)
            taken.append(time.perf_counter() - started)
        return _BATCH / min(taken)

    def _run(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        return np.asarray(self._session.run(["embeddings"], {"crops": pixels})[0])


def open_models(files: Path, folder: Path) -> list[Model]:
    """Those of the known open files that ``files`` holds, imported into the empty ``folder``."""
    ignore = shutil.ignore_patterns("[0-9]*")
    shutil.copytree(_CONFIGS, folder, ignore=ignore, dirs_exist_ok=True)
    return [
        Model(name.removesuffix(".onnx"), _imported(files / name, layout, folder))
        for name, layout in _OPEN_MODELS.items()
        if (files / name).is_file()
    ]


def _imported(source: Path, layout: str, repository: Path) -> Path:
    return import_model(source, "person_reid", layout, repository).path
