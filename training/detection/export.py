"""From weights to version 1 of the model repository, by the import that any foreign model takes."""

import copy
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from plugins.inference.model_import import import_model
from training.detection.network import Detection

_OPSET = 17
_NAME = "person_detector.onnx"


class YoloxForm(nn.Module):
    """The network as the layout ``yolox`` expects a file: BGR 0..255 in; offset, log size, score
    and, as there is one class only, 1 out (N, C, 6).
    """

    def __init__(self, network: Detection) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        with torch.no_grad():
            self.network.stem[0][0].weight.mul_(1 / 255)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        raw = self.network(pictures)
        offset, log_size, logit = raw.split((2, 2, 1), dim=2)
        score = logit.sigmoid()
        return torch.cat([offset, log_size.clamp(-4, 6), score, torch.ones_like(score)], dim=2)


def export(network: Detection, size_hw: tuple[int, int], path: Path) -> None:
    """Writes ``path`` as ONNX for pictures of that size."""
    with warnings.catch_warnings():
        # The exporter without onnxscript, enough for a network without control flow.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            YoloxForm(network).eval(),
            (torch.zeros(1, 3, *size_hw),),
            str(path),
            input_names=["images"],
            output_names=["cells"],
            dynamic_axes={"images": {0: "batch"}, "cells": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def install(network: Detection, size_hw: tuple[int, int], repository: Path) -> Path:
    """Makes ``network`` version 1 of the ``person_detector`` in ``repository``; returns its folder.

    Pre-processing and suppression come from ``spoton models import``'s own code, which also
    compares the result with the network's plain output.
    """
    target = repository / "person_detector" / "1"
    with tempfile.TemporaryDirectory() as folder:
        source, staged = Path(folder) / _NAME, Path(folder) / "repository"
        export(network, size_hw, source)
        (staged / "person_detector").mkdir(parents=True)
        shutil.copy(repository / "person_detector" / "config.pbtxt", staged / "person_detector")
        imported = import_model(source, "person_detector", "yolox", staged)
        target.mkdir(exist_ok=True)
        for part in imported.path.parent.iterdir():
            shutil.copy(part, target / part.name)
    return target
