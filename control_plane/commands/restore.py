"""``spoton restore FILE``: a backup into an empty database."""

import argparse
import asyncio
from pathlib import Path

import msgspec

from control_plane.embedded import running_services
from control_plane.settings import Settings
from control_plane.storage.backups import restore
from control_plane.terminal import console, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where from, and whether what is there may go."""
    parser.add_argument("file", type=Path, help="a file that spoton backup wrote")
    parser.add_argument(
        "--force", action="store_true", help="replace everything in a database that is not empty"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.epilog = "Stop control planes and workers first."


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Restores, checks the numbers of rows, and says what came back."""
    with running_services(settings, needed=("database_url",)) as complete:
        manifest = asyncio.run(restore(complete.database_url or "", args.file, force=args.force))
    if args.json:
        print_json(msgspec.to_builtins(manifest) | {"file": str(args.file)})
        return 0
    rows = sum(manifest.rows.values())
    console.print(f"{rows} rows of {len(manifest.rows)} tables restored", highlight=False)
    if manifest.master_keys:
        keys = ", ".join(manifest.master_keys)
        console.print(f"pictures of people need the master key {keys}", highlight=False)
    return 0
