"""``spoton models import``: an ONNX file becomes the next version of a model."""

import argparse
from pathlib import Path

from control_plane.commands.models.choices import MODELS, size
from control_plane.settings import Settings
from control_plane.terminal import console, print_json
from plugins.errors import InvalidInputError
from plugins.inference.layouts import LAYOUTS
from plugins.inference.layouts.base import ModelName, SizeHW
from plugins.inference.model_import import (
    ImportedModel,
    import_model,
    serving_version,
    warm_up_serving,
)
from plugins.inference.serving import pinned_version, write_policy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, what it becomes, and how it was exported."""
    parser.add_argument("file", type=Path, help="the ONNX file")
    parser.add_argument("--as", dest="model", choices=MODELS, required=True)
    parser.add_argument("--layout", choices=sorted(LAYOUTS), required=True)
    parser.add_argument("--size", type=size, help="HEIGHTxWIDTH where the layout leaves it open")
    add_candidate(parser)


def add_candidate(parser: argparse.ArgumentParser) -> None:
    """Whether what comes in may serve at once."""
    parser.add_argument(
        "--candidate",
        action="store_true",
        help="what serves now goes on serving until `spoton models promote`",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Imports and says what serves."""
    if not args.file.is_file():
        raise InvalidInputError(f"there is no file {args.file}")
    imported = import_file(
        settings, args.file, args.model, args.layout, args.size, is_candidate=args.candidate
    )
    tell(imported, args.file.name, settings, as_json=args.json)
    return 0


def import_file(
    settings: Settings,
    file: Path,
    model: ModelName,
    layout: str,
    size_hw: SizeHW | None,
    *,
    is_candidate: bool,
) -> ImportedModel:
    """The file as the next version; a candidate waits for its promotion."""
    folder = settings.model_repository / model
    serving = serving_version(folder)
    with console.status(f"adapting and checking {file.name}"):
        imported = import_model(file, model, layout, settings.model_repository, size=size_hw)
    if is_candidate and serving is not None and pinned_version(folder) is None:
        write_policy(folder, int(serving.name))
        warm_up_serving(folder)
    return imported


def tell(imported: ImportedModel, name: str, settings: Settings, *, as_json: bool) -> None:
    """What came in, and what is to be done for it to serve."""
    if as_json:
        print_json(imported)
        return
    what = f"{imported.model}/{imported.version}"
    print(f"{name} is {imported.model} version {imported.version} in {settings.model_repository}")
    serving = serving_version(settings.model_repository / imported.model)
    if serving == imported.path.parent:
        print("it serves from the next start of Triton on")
    else:
        print(f"version {serving.name if serving else '?'} goes on serving: "
              f"`spoton models verify {what}`, then `spoton models promote {what}`")  # fmt: skip
