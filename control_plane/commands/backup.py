"""``spoton backup FILE``: everything in the database as one file."""

import argparse
import asyncio
from pathlib import Path

import msgspec

from control_plane.embedded import running_services
from control_plane.settings import Settings
from control_plane.storage.backups import back_up
from control_plane.terminal import console, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("file", type=Path, help="tar file to write; must not be there yet")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.epilog = (
        "Crops and embeddings stay encrypted in it: keep SPOTON_DATA_KEY (or data.key of the data "
        "directory) apart from the backup, and do not lose it."
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Backs up and says what is in the file."""
    with running_services(settings, needed=("database_url",)) as complete:
        manifest = asyncio.run(back_up(complete.database_url or "", args.file))
    if args.json:
        print_json(msgspec.to_builtins(manifest) | {"file": str(args.file)})
        return 0
    rows = sum(manifest.rows.values())
    console.print(
        f"{args.file}: {rows} rows of {len(manifest.rows)} tables, {manifest.dump_bytes} bytes",
        highlight=False,
    )
    if manifest.exports_elsewhere:
        total = sum(file.bytes for file in manifest.exports_elsewhere)
        console.print(
            f"not in it: {len(manifest.exports_elsewhere)} exported files, {total} bytes, at "
            f"{settings.exports_url()}; its manifest.json lists them",
            highlight=False,
        )
    return 0
