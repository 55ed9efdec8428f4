"""``spoton models verify``: a candidate beside the serving version, on recorded footage."""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from control_plane.commands.models.choices import (
    MODELS,
    footage_at,
    one_version,
    serving_folder,
    size,
)
from control_plane.model_trial import (
    DETECTOR,
    EMBEDDER,
    Conditions,
    Side,
    Trial,
    copy_version,
    require_onnx,
    served,
    try_detector,
    try_embedder,
)
from control_plane.settings import Settings
from control_plane.terminal import console, print_json
from plugins.errors import InvalidInputError
from plugins.inference.layouts import LAYOUTS
from plugins.inference.layouts.base import ModelName
from plugins.inference.model_import import import_model
from plugins.inference.trial_footage import read_moments

SETS = 60
RATIO = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is tried, and on what."""
    parser.add_argument("new", metavar="NEW", help="MODEL/VERSION as installed, or an ONNX file")
    parser.add_argument("--as", dest="model", choices=MODELS, help="what an ONNX file becomes")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), help="how an ONNX file was exported")
    parser.add_argument("--size", type=size, help="HEIGHTxWIDTH where the layout leaves it open")
    parser.add_argument(
        "--footage",
        type=Path,
        help="folder as `spoton evaluate` takes it (default: a scene rendered for it)",
    )
    parser.add_argument("--sets", type=int, default=SETS, help=f"moments (default: {SETS})")
    parser.add_argument(
        "--most-ratio",
        type=float,
        default=RATIO,
        help=f"how many times as long it may take (default: {RATIO:g})",
    )
    parser.epilog = (
        "Exits with 1 if the candidate should not serve. Nothing that serves is touched."
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Tries it, prints a table."""
    with _candidate(args, settings) as (model, folder):
        trial = _try(args, settings, model, folder)
    if args.json:
        print_json(trial)
    else:
        Console().print(_table(trial))
        print(_verdict(trial))
    return int(bool(trial.problems))


@contextlib.contextmanager
def _candidate(args: argparse.Namespace, settings: Settings) -> Iterator[tuple[ModelName, Path]]:
    """The candidate's version folder; a file is imported into a place of its own."""
    file = Path(args.new)
    if not file.is_file():
        try:
            model, version = one_version(args.new)
        except argparse.ArgumentTypeError as error:
            raise InvalidInputError(f"{error}, nor a file that is there") from error
        yield model, settings.model_repository / model / str(version)
        return
    if args.model is None or args.layout is None:
        raise InvalidInputError(
            f"{file}: say what it becomes and how it was exported: --as, --layout"
        )
    with tempfile.TemporaryDirectory(prefix="spoton-candidate-") as name:
        repository = Path(name)
        serving = serving_folder(settings, args.model)
        copy_version(settings.model_repository / args.model, serving, repository / args.model)
        imported = import_model(file, args.model, args.layout, repository, size=args.size)
        yield args.model, imported.path.parent


def _try(args: argparse.Namespace, settings: Settings, model: ModelName, folder: Path) -> Trial:
    repository = settings.model_repository
    serving = {m: serving_folder(settings, m) for m in {DETECTOR, model}}
    require_onnx(folder)
    with console.status("preparing footage") as status, contextlib.ExitStack() as stack:
        footage = footage_at(args.footage, settings)
        status.update("starting both")
        ours = stack.enter_context(served(settings.triton_python, repository, serving))
        theirs = stack.enter_context(served(settings.triton_python, repository, {model: folder}))
        status.update(f"comparing on {footage.name}")
        moments = read_moments(footage, args.sets)
        conditions = Conditions(
            footage.name,
            footage.truth.lists_everybody,
            settings.score_threshold,
            args.most_ratio,
        )
        trying = try_embedder if model == EMBEDDER else try_detector
        return trying(ours, theirs, moments, conditions)


def _table(trial: Trial) -> Table:
    title = f"{trial.model} on {trial.footage}, {trial.pictures} pictures"
    table = Table("", "serving", "candidate", title=title, title_justify="left")
    table.add_row("version", trial.serving.version, trial.candidate.version)
    each = "crop" if trial.model == EMBEDDER else "set"
    table.add_row(f"p50 ms a {each}", *(f"{side.p50_ms:.2f}" for side in _sides(trial)))
    table.add_row(f"p95 ms a {each}", *(f"{side.p95_ms:.2f}" for side in _sides(trial)))
    for name in trial.serving.accuracy or {}:
        values = [(side.accuracy or {}).get(name, float("nan")) for side in _sides(trial)]
        table.add_row(name, *(f"{value:.3f}" for value in values))
    table.add_section()
    for name, value in trial.agreement.items():
        shown = f"{value:.3f}" if isinstance(value, float) else str(value)
        table.add_row(name.replace("_", " "), "", shown)
    table.add_row("latency ratio", "", f"{trial.latency_ratio:.2f}")
    return table


def _sides(trial: Trial) -> tuple[Side, Side]:
    return trial.serving, trial.candidate


def _verdict(trial: Trial) -> str:
    if trial.problems:
        return "It should not serve: " + "; ".join(trial.problems) + "."
    if trial.model == EMBEDDER:
        return (
            "It can serve. Its vectors are never compared with those of the version before: "
            "`spoton models reindex` computes stored persons' anew after the promotion."
        )
    return "It can serve."
