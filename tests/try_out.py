"""``make run``: something to watch, from nothing.

Plays the laboratory footage where ``SPOTON_TEST_DATA`` names it, else a generated scene of two
figures; both as an environment file, sub-videos in an object store, and models of its own.
"""

import os
import sys
from pathlib import Path

from rich.console import Console

from tests.blob_world import make_blob_world
from tests.lab import prepare_lab

console = Console(stderr=True)


def main() -> None:
    """Prepares the footage once, then becomes ``spoton up --play``."""
    folder = Path(os.environ.get("SPOTON_DATA_DIR", ".spoton")).absolute()
    test_data = Path(os.environ.get("SPOTON_TEST_DATA") or "no-such-folder")
    if (test_data / "lab4").is_dir():
        with console.status("cutting the laboratory footage into sub-videos, importing models"):
            settings = prepare_lab(folder / "laboratory", test_data).settings()
        environment = "lab"
    else:
        with console.status("generating a scene of two figures"):
            settings = make_blob_world(folder / "two-figures").settings()
        environment = "blobs"
    command = [sys.executable, "-m", "control_plane", "up", "--play", environment, *sys.argv[1:]]
    os.execve(command[0], command, os.environ | settings)  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    main()
