"""Builds TensorRT plans once: the first start builds, later ones take the plan from the cache."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plugins.errors import InvalidModelError, UnavailableError
from plugins.inference.tensorrt_build import (
    IMAGE,
    PLAN_FILE,
    PLAN_RECORD,
    TRTEXEC,
    PlanOrder,
    Target,
    in_container,
    parse_tensorrt,
    plan_name,
    trtexec_arguments,
)

Command = Callable[[Sequence[str]], list[str]]
LAST_LINES = 3


class PlanRecord(msgspec.Struct, frozen=True):
    """``model.plan.json``: what a plan was built for and of."""

    gpu: str
    tensorrt: str
    precision: str
    batches: tuple[int, int, int]
    onnx_sha256: str


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """A plan in the cache; ``was_there`` where nothing had to be built."""

    path: Path
    was_there: bool


def command_here(image: str, folders: Sequence[Path]) -> Command:
    """How trtexec is called on this machine: directly inside NVIDIA's images, else by Docker.

    UnavailableError where there is neither.
    """
    if shutil.which(TRTEXEC):
        return lambda arguments: [TRTEXEC, *arguments]
    if shutil.which("docker"):
        return lambda arguments: in_container(image, folders, arguments)
    raise UnavailableError(
        f"neither {TRTEXEC} nor docker is here: run this in the Triton image ({IMAGE}), or see the "
        "commands with --dry-run"
    )


def read_target(gpu: str, command: Command) -> Target:
    """The GPU's name and the TensorRT version that trtexec says it has."""
    done = subprocess.run(command(["--help"]), capture_output=True, text=True, check=False)
    return Target(gpu, parse_tensorrt(done.stdout + done.stderr))


def plan_for(
    order: PlanOrder, target: Target, onnx: Path, cache: Path, command: Command
) -> BuiltPlan:
    """From the cache, or built into it. InvalidModelError with trtexec's words if it fails."""
    path = cache / plan_name(order, target)
    if path.is_file():
        return BuiltPlan(path, was_there=True)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    called = command(trtexec_arguments(order, onnx, part))
    try:
        done = subprocess.run(
            called, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0 or not part.is_file():
            raise InvalidModelError(f"trtexec cannot build {onnx}: {_reason(done.stdout)}")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return BuiltPlan(path, was_there=False)


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "[E]" in line]
    return " | ".join((errors or lines or ["it said nothing"])[-LAST_LINES:])


def install_plan(plan: Path, version_folder: Path, order: PlanOrder, target: Target) -> Path:
    """Copies the plan beside its ``model.onnx``, the record first: a plan never lacks one."""
    record = PlanRecord(
        target.gpu, target.tensorrt, order.precision, order.batches, order.onnx_sha256
    )
    encoded = msgspec.json.format(msgspec.json.encode(record))
    (version_folder / PLAN_RECORD).write_bytes(encoded + b"\n")
    part = version_folder / f".{PLAN_FILE}.part"
    shutil.copyfile(plan, part)
    return part.replace(version_folder / PLAN_FILE)


def read_plan_record(version_folder: Path) -> PlanRecord | None:
    """What the plan of an installed version was built for; None where nothing says so."""
    try:
        return msgspec.json.decode((version_folder / PLAN_RECORD).read_bytes(), type=PlanRecord)
    except (OSError, msgspec.DecodeError):
        return None


def fitting_plan(version_folder: Path, order: PlanOrder, target: Target) -> PlanRecord | None:
    """The record of an installed plan, of whatever precision, that was made of the order's ONNX
    file for this GPU and TensorRT; None where there is none.
    """
    record = read_plan_record(version_folder)
    if record is None or not (version_folder / PLAN_FILE).is_file():
        return None
    made_for = record.gpu, record.tensorrt, record.onnx_sha256, record.batches
    wanted = target.gpu, target.tensorrt, order.onnx_sha256, order.batches
    return record if made_for == wanted else None
