"""``spoton keys``: the keys of what is stored encrypted."""

import argparse
import asyncio
from pathlib import Path

from control_plane.access.key_rotation import rewrap, rotate
from control_plane.access.master_key import master_key, read_key_file
from control_plane.embedded import running_services
from control_plane.settings import Settings
from control_plane.store import Store
from control_plane.terminal import console, print_json
from plugins.encryption import as_text, new_master_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``new`` and ``rotate``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("new", help="print a new master key, for SPOTON_DATA_KEY or a file")
    turn = actions.add_parser(
        "rotate", help="encrypt every picture and embedding with a new data key"
    )
    turn.add_argument(
        "--old-key-file",
        type=Path,
        help="file with the master key before the one that is set now: data keys move over to it",
    )
    turn.add_argument("--json", action="store_true", help="one JSON object on the last line")
    turn.epilog = "Stop workers first: a running one goes on writing with the key it began with."


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Dispatches to the action."""
    if args.action == "new":
        print(as_text(new_master_key()))
        return 0
    with running_services(settings, needed=("database_url",)) as complete:
        moved, records = asyncio.run(_rotate(complete, args.old_key_file))
    if args.json:
        print_json({"data_keys_moved": moved, "records": records})
    else:
        console.print(f"{moved} data keys moved, {records} records encrypted anew", highlight=False)
    return 0


async def _rotate(settings: Settings, old_key_file: Path | None) -> tuple[int, int]:
    master = master_key(settings)
    store = Store(settings.database_url or "")
    try:
        moved = 0
        if old_key_file is not None:
            moved = await rewrap(store, read_key_file(old_key_file), master)
        return moved, await rotate(store, master, lambda _: None)
    finally:
        await store.close()
