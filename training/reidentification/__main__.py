"""``python -m training.reidentification``: each step of the bundled embedder's making, in order.

Steps are imported as they are run: GStreamer and torch are in two different environments.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from homography.environment import Environment, load_environments
from plugins.errors import SpotOnError
from training.reidentification.crops import read_crops, render_crops
from training.reidentification.record import Recipe

_REPOSITORY = Path(__file__).parent.parent.parent / "model_repository"
_BUNDLED = _REPOSITORY / "person_reid" / "1" / "model.onnx"
_HELD_OUT = range(9000, 9004)
_SCENES, _STEPS = 96, 3400


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status; errors are one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except SpotOnError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # a command line
        return 1
    return 0


def _render(options: argparse.Namespace) -> None:
    folder = options.work / "crops"
    render_crops(folder, range(options.scenes), options.workers, _progress)
    render_crops(folder, _HELD_OUT, options.workers, _progress)


def _train(options: argparse.Namespace) -> None:
    import torch  # noqa: PLC0415  # the other commands run without it

    from training.reidentification.train import train  # noqa: PLC0415

    # The processes that make the batches want a core, too.
    torch.set_num_threads(max(1, options.workers - 1))
    folder = options.work / "crops"
    crops = read_crops(folder, range(options.scenes))
    recipe = Recipe(options.steps, options.people, options.rate)
    held_out = read_crops(folder, _HELD_OUT)
    train(recipe, crops, held_out, options.work, _say, workers=max(1, options.workers // 2))


def _export(options: argparse.Namespace) -> None:
    from training.reidentification.export import export_checkpoint  # noqa: PLC0415  # needs torch

    _say(str(export_checkpoint(options.work)))


def _install(options: argparse.Namespace) -> None:
    from training.reidentification.bundle import bundle  # noqa: PLC0415  # needs GStreamer

    bundle(options.work, _REPOSITORY, _demo(), options.test_data, _say)


def _evaluate(options: argparse.Namespace) -> None:
    from training.reidentification.evaluate import (  # noqa: PLC0415  # needs GStreamer
        as_markdown,
        evaluate,
    )

    report = evaluate(options.model, _demo(), options.work, options.test_data)
    _say(as_markdown(report))
    if options.json:
        _say(json.dumps(dataclasses.asdict(report)))


def _demo() -> Environment:
    return load_environments().environments["demo"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.reidentification")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(".cache/reidentification"),
        help="folder for crops, scenes and checkpoints",
    )
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    commands = parser.add_subparsers(required=True)
    render = commands.add_parser("render", help="crops to train on; done scenes are kept")
    render.add_argument("--scenes", type=int, default=_SCENES)
    render.set_defaults(command=_render)
    train = commands.add_parser("train", help="from the last checkpoint on; needs torch")
    train.add_argument("--scenes", type=int, default=_SCENES)
    train.add_argument("--steps", type=int, default=_STEPS)
    train.add_argument("--people", type=int, default=24, help="in a batch, even")
    train.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    train.set_defaults(command=_train)
    export = commands.add_parser("export", help="the last checkpoint as ONNX; needs torch")
    export.set_defaults(command=_export)
    install = commands.add_parser("install", help="into model_repository, measured, with its card")
    install.set_defaults(command=_install)
    scored = commands.add_parser("evaluate", help="tables of the bundled and of open models")
    scored.add_argument("--model", type=Path, default=_BUNDLED)
    scored.add_argument("--json", action="store_true", help="one JSON object on the last line")
    scored.set_defaults(command=_evaluate)
    data = os.environ.get("SPOTON_TEST_DATA")
    for command in (install, scored):
        command.add_argument(
            "--test-data",
            type=Path,
            default=Path(data) if data else None,
            help="folder with models/ and lab4/ (default: $SPOTON_TEST_DATA)",
        )
    return parser


def _progress(done: int, total: int) -> None:
    _say(f"{done} of {total} scenes")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a command line


if __name__ == "__main__":
    sys.exit(main())
