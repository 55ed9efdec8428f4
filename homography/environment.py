"""Read environments from TOML files, and say what is wrong with one."""

import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homography.cameras_and_zones import read_cameras, read_zones
from homography.environment_file import EnvironmentEntry, decode
from homography.environment_types import (
    Camera,
    Catalogue,
    Environment,
    Finding,
    Level,
    Problem,
    Zone,
)
from homography.plan_checks import environment_mistakes

__all__ = [
    "PACKAGED_FOLDER",
    "Camera",
    "Catalogue",
    "Environment",
    "Finding",
    "Level",
    "Problem",
    "Zone",
    "check_environment",
    "load_environments",
    "read_environment",
]

PACKAGED_FOLDER = Path(__file__).parent / "environments"


def load_environments(folders: Sequence[Path] = ()) -> Catalogue:
    """Read every ``*.toml`` of the packaged folder and of ``folders``.

    Of files with the same id the later folder's wins. A file with a mistake costs itself, a camera
    or zone with one costs itself; both are in ``problems``, nothing is raised.
    """
    environments: dict[str, Environment] = {}
    problems: list[Problem] = []
    for folder in (PACKAGED_FOLDER, *folders):
        found, troubles = _load_folder(folder)
        environments |= found
        problems += troubles
    return Catalogue(MappingProxyType(environments), tuple(problems))


def check_environment(path: Path) -> list[Finding]:
    """Everything wrong, doubtful or worth knowing about one environment's file."""
    return list(read_environment(path)[1])


def read_environment(path: Path) -> tuple[Environment | None, tuple[Finding, ...]]:
    """One environment with the cameras and zones that are usable, and all there is to say about
    its file; None where an error concerns the whole of it. Raises nothing.
    """
    raw, mistake = _parse(path)
    if mistake:
        return None, (Finding("error", None, mistake),)
    entry, mistakes = decode(raw, EnvironmentEntry)
    mistakes += [] if entry is None else environment_mistakes(entry)
    bounds = None if entry is None or mistakes else entry.map_bounds_m
    cameras, camera_findings = read_cameras(raw.get("cameras"), bounds)
    zones, zone_findings = read_zones(raw.get("zones", []), bounds)
    general = [Finding("error", None, f"{path.name}: {text}") for text in mistakes]
    if not cameras:
        text = f"{path.name}: no camera can be used: add or correct a [[cameras]] table"
        general.append(Finding("error", None, text))
    findings = (*general, *camera_findings, *zone_findings)
    if entry is None or general:
        return None, findings
    return _environment(entry, cameras, zones, path), findings


def _parse(path: Path) -> tuple[dict[str, Any], str]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), ""
    except OSError as error:
        return {}, f"{path} cannot be read: {error.strerror}; check the path and its permissions"
    except UnicodeDecodeError as error:
        return {}, f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        return {}, f"{path} is not valid TOML: {error}; correct it there or just before"


def _environment(
    entry: EnvironmentEntry, cameras: tuple[Camera, ...], zones: tuple[Zone, ...], path: Path
) -> Environment:
    return Environment(
        environment_id=entry.environment_id,
        name=entry.name or entry.environment_id,
        environment_type=entry.environment_type,
        description=entry.description,
        timezone=entry.timezone,
        recording_start=entry.recording_start.astimezone(UTC),
        rate_hz=entry.rate_hz,
        object_store_prefix=entry.object_store_prefix.strip("/"),
        map_bounds_m=entry.map_bounds_m,
        cameras=cameras,
        zones=zones,
        path=path,
    )


def _load_folder(folder: Path) -> tuple[dict[str, Environment], list[Problem]]:
    environments: dict[str, Environment] = {}
    problems: list[Problem] = []
    if not folder.is_dir():
        return {}, [Problem(folder, f"{folder} is no folder: create it or correct the setting")]
    for path in sorted(folder.glob("*.toml")):
        environment, findings = read_environment(path)
        problems += [Problem(path, text) for text in _error_messages(findings)]
        if environment is None:
            continue
        first = environments.setdefault(environment.environment_id, environment)
        if first is not environment:
            text = f"environment {first.environment_id} is already in {first.path}: change one id"
            problems.append(Problem(path, text))
    return environments, problems


def _error_messages(findings: Sequence[Finding]) -> Iterator[str]:
    return (finding.message for finding in findings if finding.level == "error")
