"""``spoton models pull``: known open models by name."""

import argparse
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from control_plane.commands.models.choices import size
from control_plane.commands.models.importing import add_candidate, import_file, tell
from control_plane.settings import Settings
from control_plane.terminal import console, print_json
from plugins.errors import InvalidInputError
from plugins.inference.known_models import (
    fetch,
    known_model,
    known_models,
    require_bytes,
)

MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The name, and where the file comes from."""
    parser.add_argument("name", nargs="?", help="as in --list")
    parser.add_argument("--list", action="store_true", dest="is_list", help="what is known")
    parser.add_argument(
        "--from",
        dest="file",
        type=Path,
        metavar="FILE",
        help="take this file, its sha256 checked, instead of the network",
    )
    parser.add_argument("--size", type=size, help="HEIGHTxWIDTH where the layout leaves it open")
    add_candidate(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Lists, or fetches and imports."""
    if args.is_list:
        return _list(as_json=args.json)
    if args.name is None:
        raise InvalidInputError("name a model, or see `spoton models pull --list`")
    entry = known_model(args.name)
    file = args.file or _fetched(args.name, settings)
    if not file.is_file():
        raise InvalidInputError(f"there is no file {file}")
    require_bytes(args.name, file)
    wanted = args.size or entry.size
    imported = import_file(
        settings, file, entry.model, entry.layout, wanted, is_candidate=args.candidate
    )
    tell(imported, args.name, settings, as_json=args.json)
    return 0


def _fetched(name: str, settings: Settings) -> Path:
    with console.status(f"fetching {name}") as status:
        return fetch(
            name,
            settings.data_dir / "models",
            lambda done: status.update(f"fetching {name}: {done / MIB:.0f} MiB"),
        )


def _list(*, as_json: bool) -> int:
    entries = known_models()
    if as_json:
        print_json({"models": {name: msgspec.to_builtins(e) for name, e in entries.items()}})
        return 0
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 1, 0), pad_edge=False)
    for title in ("name", "becomes", "pinned by"):
        table.add_column(title, no_wrap=True)
    table.add_column("input, licence, origin", overflow="fold")
    for name, e in entries.items():
        about = f"{e.input}, {e.licence}: {e.note}\n{e.origin}"
        table.add_row(name, e.model, e.pinned_by, about)
    Console().print(table)
    return 0
