"""How TensorRT plans are built from an installed ONNX file, and under which name they are kept.

Pure: commands and names only. A plan runs on the GPU model and the TensorRT version that it was
built with, so both are part of its name, and of ``model.plan.json`` beside it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plugins.errors import InvalidModelError
from plugins.inference.layouts.base import ModelName, SizeHW

Precision = Literal["fp16", "int8", "fp32"]
PLAN_FILE = "model.plan"
PLAN_RECORD = "model.plan.json"
# Where NVIDIA's images of Triton and DeepStream keep it; it is not on their PATH.
TRTEXEC = "/usr/src/tensorrt/bin/trtexec"
IMAGE = "nvidia/tritonserver:25.03-py3"
BATCHES: dict[ModelName, tuple[int, int, int]] = {
    "person_detector": (1, 4, 8),
    "person_reid": (1, 16, 64),
}
INPUTS: dict[ModelName, str] = {"person_detector": "images", "person_reid": "crops"}
PRECISIONS: dict[Precision, tuple[str, ...]] = {
    "fp32": (),
    "fp16": ("--fp16",),
    "int8": ("--int8", "--fp16"),
}
_BANNER = re.compile(r"TensorRT\.trtexec \[TensorRT v(\d+)\]")


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """One plan: ``onnx_sha256`` of the file it is made of, pictures of ``size_hw``, and the least,
    usual and greatest batch.
    """

    model: ModelName
    onnx_sha256: str
    size_hw: SizeHW
    batches: tuple[int, int, int]
    precision: Precision

    def shapes(self, batch: int) -> str:
        """As trtexec takes them: ``images:4x3x192x320``."""
        height, width = self.size_hw
        return f"{INPUTS[self.model]}:{batch}x3x{height}x{width}"


@dataclass(frozen=True, slots=True)
class Target:
    """GPU model as nvidia-smi names it, and TensorRT's version as 10.9.0."""

    gpu: str
    tensorrt: str


def plan_name(order: PlanOrder, target: Target) -> str:
    """File name in the cache of plans: the same exactly where the same plan would come out."""
    gpu = re.sub(r"[^A-Za-z0-9]+", "-", target.gpu).strip("-").lower()
    least, usual, most = order.batches
    return (
        f"{order.model}-{order.onnx_sha256[:12]}-{gpu}-trt{target.tensorrt}"
        f"-b{least}-{usual}-{most}-{order.precision}.plan"
    )


def trtexec_arguments(order: PlanOrder, onnx: Path, plan: Path) -> list[str]:
    """What follows ``trtexec``. INT8 takes a graph with its own quantisation, no calibration."""
    least, usual, most = order.batches
    return [
        f"--onnx={onnx}",
        f"--saveEngine={plan}",
        f"--minShapes={order.shapes(least)}",
        f"--optShapes={order.shapes(usual)}",
        f"--maxShapes={order.shapes(most)}",
        *PRECISIONS[order.precision],
        "--memPoolSize=workspace:4096",
        "--skipInference",
    ]


def in_container(image: str, folders: Sequence[Path], arguments: Sequence[str]) -> list[str]:
    """The same inside the Triton image; ``folders`` are mounted where they are."""
    mounts = [f"--volume={folder}:{folder}" for folder in folders]
    return ["docker", "run", "--rm", "--gpus=all", *mounts, image, TRTEXEC, *arguments]


def parse_tensorrt(banner: str) -> str:
    """Version of what trtexec prints first, ``TensorRT.trtexec [TensorRT v100900]``, as 10.9.0.

    Four digits are TensorRT 8's, more are 10's: major, then two digits each.
    """
    found = _BANNER.search(banner)
    if found is None:
        raise InvalidModelError(
            "trtexec does not say its TensorRT version: run it by hand in the Triton image"
        )
    number = int(found[1])
    if number < 10_000:
        return f"{number // 1000}.{number // 100 % 10}.{number % 100}"
    return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
