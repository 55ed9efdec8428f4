"""``spoton environments``: what is defined, and what is wrong with a file."""

import argparse
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from control_plane.catalogue import known_environment
from control_plane.settings import Settings
from control_plane.terminal import print_json
from homography.environment import (
    Catalogue,
    Environment,
    Finding,
    check_environment,
    load_environments,
)
from plugins.errors import UnknownEnvironmentError

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``list`` and ``check``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="all environments, and files that cannot be read")
    listing.add_argument("--json", action="store_true", help="one JSON object on the last line")
    check = actions.add_parser("check", help="say everything that is wrong with environment files")
    check.add_argument("what", nargs="*", help="file or environment id; all when none is given")
    check.add_argument("--json", action="store_true", help="one JSON object on the last line")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Dispatches to the action."""
    return _list(args, settings) if args.action == "list" else _check(args, settings)


def _list(args: argparse.Namespace, settings: Settings) -> int:
    catalogue = load_environments(settings.environment_folders())
    if args.json:
        print_json(
            {
                "environments": [_summary(e) for e in catalogue.environments.values()],
                "problems": [
                    {"path": str(p.path), "message": p.message} for p in catalogue.problems
                ],
            }
        )
        return 0
    table = Table("id", "name", "cameras", "zones", "rate", "recordings", "file")
    for e in catalogue.environments.values():
        cameras = " ".join(camera.camera_id for camera in e.cameras)
        table.add_row(
            e.environment_id,
            e.name,
            cameras,
            str(len(e.zones)),
            f"{e.rate_hz:g}/s",
            e.object_store_prefix,
            e.path.name,
        )
    console = Console()
    console.print(table)
    for problem in catalogue.problems:
        console.print(f"[bold red]{problem.path}[/]: {problem.message}", highlight=False)
    return 0


def _summary(environment: Environment) -> dict[str, object]:
    return {
        "environment_id": environment.environment_id,
        "name": environment.name,
        "cameras": [camera.camera_id for camera in environment.cameras],
        "zones": [zone.zone_id for zone in environment.zones],
        "rate_hz": environment.rate_hz,
        "object_store_prefix": environment.object_store_prefix,
        "path": str(environment.path),
    }


def _check(args: argparse.Namespace, settings: Settings) -> int:
    findings = {path: check_environment(path) for path in _paths(args.what, settings)}
    has_error = any(f.level == "error" for found in findings.values() for f in found)
    if args.json:
        print_json(
            {str(p): [msgspec.to_builtins(f) for f in found] for p, found in findings.items()}
        )
        return int(has_error)
    console = Console()
    for path, found in findings.items():
        console.print(f"[bold]{path}[/]")
        for finding in found or [Finding("info", None, "nothing is wrong")]:
            camera = f"{finding.camera_id}: " if finding.camera_id else ""
            style = STYLES[finding.level]
            console.print(
                f"  [{style}]{finding.level:8}[/]{camera}{finding.message}", highlight=False
            )
    return int(has_error)


def _paths(what: list[str], settings: Settings) -> list[Path]:
    catalogue = load_environments(settings.environment_folders())
    if what:
        return [_path(one, catalogue) for one in what]
    readable = [environment.path for environment in catalogue.environments.values()]
    return list(dict.fromkeys([*readable, *(problem.path for problem in catalogue.problems)]))


def _path(one: str, catalogue: Catalogue) -> Path:
    if Path(one).is_file():
        return Path(one)
    try:
        return known_environment(catalogue, one).path
    except UnknownEnvironmentError as error:
        raise UnknownEnvironmentError(f"{one!r} is no file, and {error}") from error
