"""The ``spoton`` command: each subcommand is one module of ``control_plane.commands``."""

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, ModuleType

from control_plane.health.logs import configure_logging
from control_plane.settings import read_settings
from plugins.errors import SpotOnError

TERMINATED_STATUS = 128 + signal.SIGTERM
OWN_PACKAGES = {"control_plane", "plugins", "homography", "training"}
COMMANDS = {
    "up": "start everything on this machine: services, control plane, worker",
    "api": "serve the control plane (REST, WebSocket, live page)",
    "worker": "take queued tasks and run them",
    "run": "run one task here, without the control plane",
    "simulate": "render a scene of walking people for an environment's cameras",
    "evaluate": "score identities against a truth, beside other methods",
    "explain": "tell the story of one identity, with pictures",
    "models": "list models, or import an ONNX file",
    "environments": "list environments, or check their files",
    "calibrate": "fit a camera's floor to point pairs, and say how far off it is",
    "doctor": "look at machine, services, models and calibration, and say what to do",
    "bench": "measure sets per second and stage times at 1 to N tasks",
    "export": "write tracking data, a report or a video into a file",
    "backup": "write everything in the database into one file",
    "restore": "put a backup into an empty database",
    "keys": "make a master key, or encrypt what is stored with new keys",
    "password": "set a user's new password",
    "openapi": "print the OpenAPI document",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and turn errors into one line on stderr and a non-zero status."""
    # Our matrices are small: with more threads they wait for each other, for seconds when the
    # cores are busy. NumPy reads it when a subcommand first imports it; children inherit it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        args = parser(_wanted(sys.argv[1:] if argv is None else argv)).parse_args(argv)
        settings = read_settings()
        configure_logging(settings.log_level, settings.log_format)
        with _unwinding_at_sigterm():
            status: int = args.run(args, settings)
    except SpotOnError as error:
        print(f"spoton: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def parser(wanted: str | None = None) -> argparse.ArgumentParser:
    """The whole command line; only the wanted subcommand's module is imported. SpotOnError when a
    package that it needs is not installed.
    """
    whole = argparse.ArgumentParser(
        prog="spoton",
        description="Multi-camera person tracking: one identity over four cameras, one floor plan.",
        epilog="Settings come from SPOTON_* variables, DATABASE_URL, REDIS_URL, TRITON_URL and "
        "S3_ENDPOINT_URL; services without a URL are started here.",
    )
    whole.add_argument("--version", action="version", version="SpotOn 0.1.0")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name == wanted:
            module = _module(name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return whole


def _module(command: str) -> ModuleType:
    """Our own modules are never missing, except by mistake: that error stays as it is."""
    try:
        return importlib.import_module(f"control_plane.commands.{command}")
    except ImportError as error:
        if (error.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        raise SpotOnError(
            f"`spoton {command}` lacks a package ({error}): `make setup` installs all, and "
            ".venv/bin/spoton finds them"
        ) from error


@contextmanager
def _unwinding_at_sigterm() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: what it left half done is removed, what it started
    ends. Commands that have something to finish first put their own handler in its place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.exit(TERMINATED_STATUS)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, before)


def _wanted(argv: Sequence[str]) -> str | None:
    return next((word for word in argv if word in COMMANDS), None)


if __name__ == "__main__":
    sys.exit(main())
