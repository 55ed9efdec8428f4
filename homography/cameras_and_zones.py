"""Cameras and zones of an environment's file: each is taken or refused on its own."""

from typing import Any

import numpy as np

from homography.calibration import Array, CalibrationError, Fit, fit_homography
from homography.environment_file import CameraEntry, ZoneEntry, decode
from homography.environment_types import Camera, Finding, Zone
from homography.ground_plane import GroundPlane
from homography.lens import Lens
from homography.plan_checks import Bounds, outside_of, polygon_mistake, visible_share


def read_cameras(
    raw: object, bounds: Bounds | None
) -> tuple[tuple[Camera, ...], tuple[Finding, ...]]:
    """The usable cameras among the tables ``raw``, and what there is to say about all of them."""
    cameras: dict[str, Camera] = {}
    findings: list[Finding] = []
    for number, table in enumerate(_tables(raw), start=1):
        camera_id = _label(table, "camera_id", number)
        if camera_id in cameras:
            text = "there is another camera of this camera_id: give each its own"
            findings.append(_about_camera("error", camera_id, text))
            continue
        camera, said = _read_camera(table, camera_id, bounds)
        findings += said
        if camera is not None:
            cameras[camera_id] = camera
    return tuple(cameras.values()), tuple(findings)


def read_zones(raw: object, bounds: Bounds | None) -> tuple[tuple[Zone, ...], tuple[Finding, ...]]:
    """The usable zones among the tables ``raw``, and what there is to say about all of them."""
    zones: dict[str, Zone] = {}
    findings: list[Finding] = []
    for number, table in enumerate(_tables(raw), start=1):
        zone_id = _label(table, "zone_id", number)
        if zone_id in zones:
            text = f"zone {zone_id}: there is another zone of this zone_id: give each its own"
            findings.append(Finding("error", None, text))
            continue
        zone, said = _read_zone(table, zone_id, bounds)
        findings += said
        if zone is not None:
            zones[zone_id] = zone
    return tuple(zones.values()), tuple(findings)


def _read_camera(
    table: Any, camera_id: str, bounds: Bounds | None
) -> tuple[Camera | None, list[Finding]]:
    entry, mistakes = decode(table, CameraEntry)
    if entry is None:
        return None, [_about_camera("error", camera_id, text) for text in mistakes]
    try:
        plane, fit = _calibrate(entry)
    except CalibrationError as error:
        return None, [_about_camera("error", camera_id, str(error))]
    warnings = _warnings(entry, plane, fit, bounds)
    findings = [_about_camera("warning", camera_id, text) for text in warnings]
    findings += [_about_camera("info", camera_id, text) for text in _facts(plane, fit)]
    return _camera(entry, plane, fit, warnings), findings


def _camera(
    entry: CameraEntry, plane: GroundPlane, fit: Fit | None, warnings: tuple[str, ...]
) -> Camera:
    return Camera(
        camera_id=entry.camera_id,
        name=entry.name or entry.camera_id,
        location=entry.location,
        width=entry.width,
        height=entry.height,
        fps=entry.fps,
        recording_folder=entry.recording_folder.strip("/") or entry.camera_id,
        ground_plane=plane,
        fit=fit,
        warnings=warnings,
    )


def _calibrate(entry: CameraEntry) -> tuple[GroundPlane, Fit | None]:
    resize = _resize(entry)
    lens = None
    if entry.lens is not None:
        lens = Lens.from_coefficients(resize @ np.array(entry.lens.K), entry.lens.distortion)
    if entry.point_pairs and entry.image_to_ground is not None:
        raise CalibrationError("both point_pairs and image_to_ground are given: keep one")
    if entry.image_to_ground is not None:
        matrix = np.array(entry.image_to_ground) @ np.linalg.inv(resize)
        size = (entry.width, entry.height)
        return GroundPlane.from_matrix(matrix, *size, lens=lens, error_m=entry.error_m), None
    if not entry.point_pairs:
        raise CalibrationError("no calibration: give point_pairs, or image_to_ground")
    return _fitted(entry, lens, resize)


def _fitted(entry: CameraEntry, lens: Lens | None, resize: Array) -> tuple[GroundPlane, Fit]:
    image = np.array([pair.image_px for pair in entry.point_pairs])
    fit = fit_homography(
        image @ resize[:2, :2].T + resize[:2, 2],
        [pair.ground_m for pair in entry.point_pairs],
        image_size=(entry.width, entry.height),
        lens=lens,
    )
    return GroundPlane.from_fit(fit, entry.width, entry.height, lens=lens), fit


def _resize(entry: CameraEntry) -> Array:
    """From pixels of the calibration's picture to the camera's; pixel centres are whole numbers."""
    width, height = entry.calibrated_at or (entry.width, entry.height)
    sx, sy = entry.width / width, entry.height / height
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])


def _warnings(
    entry: CameraEntry, plane: GroundPlane, fit: Fit | None, bounds: Bounds | None
) -> tuple[str, ...]:
    warnings = [] if fit is None else list(fit.warnings)
    width, height = entry.calibrated_at or (entry.width, entry.height)
    if abs(width * entry.height / (height * entry.width) - 1) > 0.01:
        warnings.append(
            f"calibrated_at {width}x{height} has another shape than {entry.width}x{entry.height}:"
            " correct it unless the picture is stretched"
        )
    beyond = [
        str(number)
        for number, pair in enumerate(entry.point_pairs, start=1)
        if not (-1 <= pair.image_px[0] <= width and -1 <= pair.image_px[1] <= height)
    ]
    if beyond:
        warnings.append(
            f"pairs {', '.join(beyond)} lie outside of the {width}x{height} picture: set"
            " calibrated_at to the size they were taken at"
        )
    if bounds is not None and not visible_share(plane, bounds):
        warnings.append(
            "sees no part of map_bounds_m: check the units (metres) and which point is the origin"
        )
    return tuple(warnings)


def _facts(plane: GroundPlane, fit: Fit | None) -> list[str]:
    facts = []
    if fit is not None:
        facts.append(
            f"{int(fit.is_inlier.sum())} of {len(fit.is_inlier)} point pairs fit within"
            f" {fit.rmse_m:.2f} m root mean square ({fit.rmse_px:.0f} px), median"
            f" {fit.median_m:.2f} m ({fit.median_px:.0f} px); left out in turn"
            f" {fit.leave_one_out_rmse_m:.2f} m"
        )
    centre = plane.camera_centre_m
    if centre is None:
        facts.append(
            "its height over the floor cannot be known from this: give the lens to know it"
        )
    else:
        x, y, height = centre
        facts.append(f"stands {height:.1f} m over ({x:.1f}, {y:.1f})")
    return facts


def _read_zone(
    table: Any, zone_id: str, bounds: Bounds | None
) -> tuple[Zone | None, list[Finding]]:
    entry, mistakes = decode(table, ZoneEntry)
    polygon = None if entry is None else np.array(entry.polygon_m, dtype=float).reshape(-1, 2)
    mistake = None if polygon is None else polygon_mistake(polygon)
    if mistake is not None:
        mistakes.append(mistake)
    findings = [Finding("error", None, f"zone {zone_id}: {text}") for text in mistakes]
    if entry is None or polygon is None or mistakes:
        return None, findings
    outside = None if bounds is None else outside_of(polygon, bounds)
    if outside is not None:
        findings.append(Finding("warning", None, f"zone {zone_id}: {outside}"))
    name = entry.name or entry.zone_id
    return Zone(entry.zone_id, name, entry.zone_type, polygon, entry.capacity), findings


def _tables(raw: object) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _label(table: Any, key: str, number: int) -> str:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, str) and value else f"number {number}"


def _about_camera(level: Any, camera_id: str, text: str) -> Finding:
    return Finding(level, camera_id, f"camera {camera_id}: {text}")
