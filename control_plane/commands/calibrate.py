"""``spoton calibrate``: fit a camera's homography to point pairs, and say how far off it is."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from control_plane.catalogue import known_environment
from control_plane.settings import Settings
from control_plane.terminal import print_json
from homography.calibration import CalibrationError, Fit, fit_homography
from homography.environment import Camera, load_environments
from homography.environment_file import PointPair
from plugins.errors import InvalidInputError, UnknownCameraError


class PairsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON file, as PUT cameras/{id}/calibration takes it."""

    point_pairs: list[PointPair]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pairs, and whose they are."""
    parser.add_argument(
        "pairs",
        type=Path,
        help="a line for each pair: x and y of the pixel, x and y of the floor in metres; or JSON "
        "as PUT cameras/{id}/calibration takes it",
    )
    parser.add_argument("--environment", "-e", help="with --camera: whose size and lens to use")
    parser.add_argument("--camera", "-c", help="with --environment: id of the camera")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.epilog = (
        "Changes nothing: put what it prints into the environment's file, or the pairs into PUT "
        "cameras/{id}/calibration. `spoton environments check` judges the pairs of a file."
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Reads, fits, prints."""
    pairs = read_pairs(args.pairs)
    camera = _camera(args, settings)
    try:
        fit = fit_homography(
            [pair.image_px for pair in pairs],
            [pair.ground_m for pair in pairs],
            image_size=(camera.width, camera.height) if camera else None,
            lens=camera.ground_plane.lens if camera else None,
        )
    except CalibrationError as error:
        raise InvalidInputError(f"{args.pairs}: {error}") from error
    if args.json:
        print_json(_summary(fit))
    else:
        _show(pairs, fit)
    return 0


def read_pairs(path: Path) -> list[PointPair]:
    """Of either format; InvalidInputError naming the line or entry that is wrong."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=PairsFile).point_pairs
        except msgspec.DecodeError as error:
            raise InvalidInputError(f"{path}: {error}") from error
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [_pair(path, number, line) for number, line in enumerate(lines, start=1) if line]


def _pair(path: Path, number: int, line: str) -> PointPair:
    try:
        x_px, y_px, x_m, y_m = map(float, re.split(r"[\s,;]+", line))
    except ValueError as error:
        raise InvalidInputError(
            f"{path}, line {number}: {line!r} is not four numbers, x and y of the pixel, x and y "
            "of the floor in metres; begin a line that is no pair with #"
        ) from error
    return PointPair((x_px, y_px), (x_m, y_m))


def _camera(args: argparse.Namespace, settings: Settings) -> Camera | None:
    if (args.environment is None) != (args.camera is None):
        raise InvalidInputError("--environment and --camera go together: give both, or neither")
    if args.environment is None:
        return None
    catalogue = load_environments(settings.environment_folders())
    cameras = {c.camera_id: c for c in known_environment(catalogue, args.environment).cameras}
    if args.camera not in cameras:
        raise UnknownCameraError(
            f"{args.environment} has no camera {args.camera!r}; there are: {', '.join(cameras)}"
        )
    return cameras[args.camera]


def _summary(fit: Fit) -> dict[str, object]:
    return {
        "image_to_ground": fit.image_to_ground.tolist(),
        "pairs": len(fit.is_inlier),
        "used": int(fit.is_inlier.sum()),
        "rmse_m": float(fit.rmse_m),
        "rmse_px": float(fit.rmse_px),
        "leave_one_out_rmse_m": _number(fit.leave_one_out_rmse_m),
        "residual_m": [_number(off) for off in fit.residual_m.tolist()],
        "is_outlier": (~fit.is_inlier).tolist(),
        "warnings": list(fit.warnings),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _show(pairs: Sequence[PointPair], fit: Fit) -> None:
    console, table = Console(), Table("pair", "pixel", "floor, m", "off by, m", "", highlight=False)
    for number, pair in enumerate(pairs, start=1):
        off_m, is_used = fit.residual_m[number - 1], fit.is_inlier[number - 1]
        off = f"{off_m:.3f}" if np.isfinite(off_m) else "behind the horizon"
        table.add_row(
            str(number), _point(pair.image_px), _point(pair.ground_m), off,
            "" if is_used else "left out",
        )  # fmt: skip
    console.print(table)
    others = fit.leave_one_out_rmse_m
    print(
        f"reprojection error of {fit.is_inlier.sum()} pairs, root mean square: {fit.rmse_m:.3f} m "
        f"on the floor, {fit.rmse_px:.1f} px in the picture"
        + (f"; each predicted from the others: {others:.3f} m" if np.isfinite(others) else "")
    )
    for warning in fit.warnings:
        print(f"warning: {warning}")
    print("\npoint_pairs = [")
    for pair in pairs:
        pixel, floor = _point(pair.image_px), _point(pair.ground_m)
        print(f"  {{ image_px = [{pixel}], ground_m = [{floor}] }},")
    print("]")


def _point(point: tuple[float, float]) -> str:
    return f"{point[0]:.10g}, {point[1]:.10g}"
