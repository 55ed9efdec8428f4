"""``spoton models``: models come in, are built, compared, put in charge and taken back.

One module for each action; ``swap-a-model.md`` in the documentation walks through them.
"""

import argparse
import errno
import os

from control_plane.commands.models import (
    building,
    importing,
    listing,
    promoting,
    pulling,
    reindexing,
    verifying,
)
from control_plane.settings import Settings
from plugins.errors import InvalidInputError

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
ACTIONS = {
    "list": (listing, "models, versions, and which of them serve"),
    "import": (importing, "adapt an ONNX file, check it by inference, install it"),
    "pull": (pulling, "fetch a known open model by name and import it"),
    "build": (building, "make TensorRT plans, or take them from the cache"),
    "verify": (verifying, "run a version beside the serving one on footage"),
    "promote": (promoting, "put a version in charge while requests go on"),
    "rollback": (promoting, "go back to the version before"),
    "reindex": (reindexing, "compute stored persons' vectors anew with the serving embedder"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each action."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (module, summary) in ACTIONS.items():
        action = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        module.add_arguments(action)
        action.add_argument("--json", action="store_true", help="one JSON object on the last line")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Dispatches to the action."""
    module, _ = ACTIONS[args.action]
    try:
        status: int = module.run(args, settings)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise InvalidInputError(
            f"{error.filename} cannot be written ({error.strerror}): mount it for writing and give "
            f"it to the user that runs this, {os.getuid()}"
        ) from error
    return status
