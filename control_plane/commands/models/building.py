"""``spoton models build``: TensorRT plans from installed ONNX files."""

import argparse
import shlex
from pathlib import Path

import msgspec

from control_plane.commands.models.choices import (
    MODELS,
    footage_at,
    serving_folder,
)
from control_plane.health.machine_facts import read_gpu
from control_plane.settings import Settings
from control_plane.terminal import console, print_json
from plugins.errors import InvalidInputError, UnavailableError
from plugins.inference.known_models import sha256_of
from plugins.inference.layouts.base import ModelName
from plugins.inference.model_import import MODEL_FILE, input_size, warm_up_serving
from plugins.inference.plan_cache import (
    command_here,
    fitting_plan,
    install_plan,
    plan_for,
    read_target,
)
from plugins.inference.quantisation import quantise
from plugins.inference.tensorrt_build import (
    BATCHES,
    IMAGE,
    PLAN_FILE,
    PRECISIONS,
    PlanOrder,
    in_container,
    trtexec_arguments,
)
from plugins.inference.trial_footage import crop_batches, detector_batches, read_moments

CALIBRATION_SETS = 64
CALIBRATED = "model.int8.onnx"


class Built(msgspec.Struct, frozen=True):
    """One plan; ``from_cache`` where it had been built before, ``is_kept`` where it was in use."""

    model: str
    version: int
    precision: str
    plan: str
    gpu: str
    tensorrt: str
    from_cache: bool
    is_kept: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which, how precise, and where trtexec is."""
    parser.add_argument("--model", choices=MODELS, action="append", help="default: both")
    parser.add_argument("--version", type=int, help="default: the one that serves")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="fp16")
    parser.add_argument(
        "--footage",
        type=Path,
        help="for int8: folder as `spoton evaluate` takes it, to calibrate on (default: a scene "
        "rendered for it)",
    )
    parser.add_argument(
        "--image",
        default=IMAGE,
        help=f"Triton image that docker runs trtexec in (default: {IMAGE}; put the registry's name "
        "before it)",
    )
    parser.add_argument(
        "--missing",
        action="store_true",
        help="leave a plan in place that fits this GPU, TensorRT and the model file, whatever its "
        "precision",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands, build nothing")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Builds, or says how."""
    if args.version is not None and len(args.model or []) != 1:
        raise InvalidInputError("--version: say of which --model")
    if args.dry_run:
        return _dry_run(args, settings)
    gpu = read_gpu()
    if gpu is None:
        raise UnavailableError(
            "no NVIDIA GPU answers (nvidia-smi): plans are built on the machine that serves them; "
            "--dry-run shows the commands, and on the CPU the ONNX files serve as they are"
        )
    built = [_build(model, args, settings, gpu.name) for model in args.model or MODELS]
    if args.json:
        print_json({"plans": built})
    else:
        for each in built:
            how = "in place" if each.is_kept else "from the cache" if each.from_cache else "built"
            print(f"{each.model}/{each.version} {each.precision}: {how}, {each.gpu}, "
                  f"TensorRT {each.tensorrt}")  # fmt: skip
    return 0


def _build(model: ModelName, args: argparse.Namespace, settings: Settings, gpu: str) -> Built:
    folder = _version_folder(model, args, settings).resolve()
    cache = (settings.data_dir / "plans").resolve()
    cache.mkdir(parents=True, exist_ok=True)
    command = command_here(args.image, (folder, cache))
    target = read_target(gpu, command)
    order, place = order_for(model, folder, args.precision), str(folder / PLAN_FILE)
    there = fitting_plan(folder, order, target) if args.missing else None
    if there is not None:
        return Built(
            model, int(folder.name), there.precision, place, gpu, target.tensorrt, True, True
        )
    onnx = _source(model, folder, args, settings)
    with console.status(f"building {model} ({args.precision}), which takes minutes"):
        plan = plan_for(order, target, onnx, cache, command)
    install_plan(plan.path, folder, order, target)
    warm_up_serving(folder.parent)
    return Built(
        model, int(folder.name), args.precision, place, gpu, target.tensorrt, plan.was_there
    )


def order_for(model: ModelName, folder: Path, precision: str) -> PlanOrder:
    """What an installed version needs. InvalidInputError where it has no ONNX file."""
    onnx, size_hw = folder / MODEL_FILE, input_size(folder)
    if not onnx.is_file() or size_hw is None:
        raise InvalidInputError(
            f"{folder} has no {MODEL_FILE} that keeps the contract: import it with `spoton models "
            "import`"
        )
    chosen = next(name for name in PRECISIONS if name == precision)
    return PlanOrder(model, sha256_of(onnx), size_hw, BATCHES[model], chosen)


def _version_folder(model: ModelName, args: argparse.Namespace, settings: Settings) -> Path:
    if args.version is not None:
        return settings.model_repository / model / str(args.version)
    return serving_folder(settings, model)


def _source(model: ModelName, folder: Path, args: argparse.Namespace, settings: Settings) -> Path:
    """The installed file; for int8 a quantised copy, calibrated once."""
    if args.precision != "int8":
        return folder / MODEL_FILE
    target = folder / CALIBRATED
    if not target.is_file():
        with console.status(f"calibrating {model} on footage"):
            calibrate(model, folder, target, args.footage, settings)
    return target


def calibrate(
    model: ModelName, folder: Path, target: Path, footage: Path | None, settings: Settings
) -> int:
    """Writes the quantised copy; returns the number of pictures it was calibrated on."""
    moments = read_moments(footage_at(footage, settings), CALIBRATION_SETS)
    size_hw = order_for(model, folder, "int8").size_hw
    batches = (
        detector_batches(moments, size_hw)
        if model == "person_detector"
        else crop_batches(moments, size_hw)
    )
    return quantise(folder / MODEL_FILE, target, batches)


def _dry_run(args: argparse.Namespace, settings: Settings) -> int:
    commands = []
    for model in args.model or MODELS:
        folder = _version_folder(model, args, settings).resolve()
        order = order_for(model, folder, args.precision)
        onnx = folder / (CALIBRATED if args.precision == "int8" else MODEL_FILE)
        arguments = trtexec_arguments(order, onnx, folder / PLAN_FILE)
        commands.append(in_container(args.image, (folder,), arguments))
    if args.json:
        print_json({"commands": commands})
    else:
        for command in commands:
            print(shlex.join(command))
    return 0
