"""``python -m training.detection``: each step of the bundled detector's making, in order."""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homography.environment import Environment, load_environments
from plugins.errors import SpotOnError
from training.checkpoints import fitting
from training.detection.card import CARD_FILE, MADE_FILE, Made, model_card
from training.detection.pictures import render_scenes
from training.randomised.pictures import SHOPS_FROM

_REPOSITORY = Path(__file__).parent.parent.parent / "model_repository"
_BUNDLED = _REPOSITORY / "person_detector" / "1" / "model.onnx"
_SCENES, _SHOPS, _STEPS = 286, 150, 10_000


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
    seeds = _seeds(options)
    for done in render_scenes(_pictures(options), seeds, options.moments, options.workers):
        if done % 10 == 0:
            _say(f"{done} of {len(seeds)} scenes")


def _train(options: argparse.Namespace) -> None:
    from training.detection.network import NECK  # noqa: PLC0415  # the rest needs no torch
    from training.detection.train import Recipe, train  # noqa: PLC0415  # as above

    recipe = Recipe(
        _pictures(options),
        _seeds(options),
        options.steps,
        options.minutes,
        options.start,
        options.teacher,
        options.neck or NECK,
        batch=options.batch,
        rate=options.rate,
        keep=options.keep,
        workers=options.workers,
    )
    for line in train(recipe, options.work):
        _say(line)


def _export(options: argparse.Namespace) -> None:
    from training.detection.bundle import bundle  # noqa: PLC0415  # needs torch

    path = bundle(options.work, _REPOSITORY)
    _say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def _card(options: argparse.Namespace) -> None:
    from training.detection.evaluate import evaluate  # noqa: PLC0415  # needs GStreamer

    with fitting(options.work / MADE_FILE):
        made = msgspec.json.decode((options.work / MADE_FILE).read_bytes(), type=Made)
    report = evaluate(_BUNDLED, _demo(), options.work, options.test_data, _say)
    (_BUNDLED.parent / CARD_FILE).write_text(model_card(made, report), encoding="utf-8")


def _evaluate(options: argparse.Namespace) -> None:
    from training.detection.evaluate import evaluate  # noqa: PLC0415  # needs GStreamer

    report = evaluate(options.model, _demo(), options.work, options.test_data, _say)
    if options.test_data is None:
        _say("real footage: not measured, --test-data is not given")
    if options.json:
        _say(json.dumps(dataclasses.asdict(report)))


def _demo() -> Environment:
    return load_environments().environments["demo"]


def _pictures(options: argparse.Namespace) -> Path:
    work: Path = options.work
    return work / "pictures"


def _seeds(options: argparse.Namespace) -> list[int]:
    return [*range(options.scenes), *range(SHOPS_FROM, SHOPS_FROM + options.shops)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.detection")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(".cache/detection"),
        help="folder for pictures, scenes and checkpoints",
    )
    parser.add_argument("--scenes", type=int, default=_SCENES, help="random scenes to learn from")
    parser.add_argument("--shops", type=int, default=_SHOPS, help="shops to learn from")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    data = os.environ.get("SPOTON_TEST_DATA")
    parser.add_argument(
        "--test-data",
        type=Path,
        default=Path(data) if data else None,
        help="folder with models/ and lab4/ (default: $SPOTON_TEST_DATA)",
    )
    commands = parser.add_subparsers(required=True)
    render = commands.add_parser("render", help="pictures to learn from; done scenes are kept")
    render.add_argument("--moments", type=int, default=10, help="of each camera in a scene")
    render.set_defaults(command=_render)
    train = commands.add_parser("train", help="from the last checkpoint on; needs torch")
    train.add_argument("--steps", type=int, default=_STEPS)
    train.add_argument("--minutes", type=float, default=0.0, help="end after so long at the latest")
    first = train.add_mutually_exclusive_group()
    first.add_argument("--start", type=Path, help="an exported model whose weights come first")
    first.add_argument("--teacher", type=Path, help="an exported wider model to learn from")
    train.add_argument(
        "--neck",
        type=int,
        help="channels of pyramid and head, if not the usual or those of --start",
    )
    train.add_argument("--batch", type=int, default=8, help="samples of a step")
    train.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    train.add_argument(
        "--keep", type=float, default=0.998, help="of the mean of weights at each step"
    )
    train.set_defaults(command=_train)
    export = commands.add_parser("export", help="version 1 of person_detector; needs torch")
    export.set_defaults(command=_export)
    commands.add_parser("card", help="measure it and write its card").set_defaults(command=_card)
    scored = commands.add_parser("evaluate", help="tables of the bundled and of open models")
    scored.add_argument("--model", type=Path, default=_BUNDLED)
    scored.add_argument("--json", action="store_true", help="one JSON object on the last line")
    scored.set_defaults(command=_evaluate)
    return parser


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a command line


if __name__ == "__main__":
    sys.exit(main())
