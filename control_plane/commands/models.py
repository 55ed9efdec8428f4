"""``spoton models``: what is in the model repository, and importing an ONNX file into it."""

import argparse
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from control_plane.settings import Settings
from control_plane.terminal import print_json
from plugins.errors import InvalidInputError
from plugins.inference.layouts import LAYOUTS
from plugins.inference.model_import import import_model, list_models

MODELS = ("person_detector", "person_reid")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``list`` and ``import``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="models and versions in the repository")
    listing.add_argument("--json", action="store_true", help="one JSON object on the last line")
    importing = actions.add_parser(
        "import",
        help="adapt a foreign ONNX file, check it by inference, install it as the next version",
    )
    importing.add_argument("file", type=Path, help="the ONNX file")
    importing.add_argument("--as", dest="model", choices=MODELS, required=True)
    importing.add_argument("--layout", choices=sorted(LAYOUTS), required=True)
    importing.add_argument("--size", type=size, help="HEIGHTxWIDTH where the layout leaves it open")
    importing.add_argument("--json", action="store_true", help="one JSON object on the last line")


def size(text: str) -> tuple[int, int]:
    """``320x320`` as (height, width)."""
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 320x320")
    return int(height), int(width)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Dispatches to the action."""
    return _list(args, settings) if args.action == "list" else _import(args, settings)


def _import(args: argparse.Namespace, settings: Settings) -> int:
    if not args.file.is_file():
        raise InvalidInputError(f"there is no file {args.file}")
    console = Console(stderr=True)
    with console.status(f"adapting and checking {args.file.name}"):
        imported = import_model(
            args.file, args.model, args.layout, settings.model_repository, size=args.size
        )
    if args.json:
        print_json(imported)
    else:
        print(
            f"{args.file.name} is {args.model} version {imported.version} in "
            f"{settings.model_repository}; it serves from the next start of Triton on"
        )
    return 0


def _list(args: argparse.Namespace, settings: Settings) -> int:
    models = list_models(settings.model_repository)
    if args.json:
        print_json({"models": models})
        return 0
    table = Table("model", "version", "layout", "input", "size", "source sha256")
    for model in models:
        row = msgspec.to_builtins(model)
        table.add_row(*(str(row.get(k, "")) for k in row))
    Console().print(table)
    return 0
