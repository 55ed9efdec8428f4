"""``/api/v1/cameras``: what each camera is, its calibration, and settings that may be changed.

A calibration given here is kept beside those before it. Tasks use the newest that is older than
themselves, so that a task that is resumed goes on with the one it began with.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import numpy as np
from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, PathParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller
from control_plane.audit import record
from control_plane.environments import CameraInfo, camera_infos
from control_plane.errors import documented
from control_plane.services import Services
from control_plane.store import Store, parse_task_id
from control_plane.zones import visible
from homography.calibration import CalibrationError, Fit, fit_homography
from homography.environment import Camera, Environment
from homography.ground_plane import GroundPlane
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    UnknownCameraError,
    UnknownEnvironmentError,
)

API = "/api/v1/cameras"
Pixel = tuple[float, float]
CameraId = Annotated[str, PathParameter(description="such as c01", max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=120)]

CALIBRATIONS = """
select distinct on (camera_id) camera_id, created_at, point_pairs from camera_calibrations
where environment_id = $1 and ($2::timestamptz is null or created_at <= $2)
order by camera_id, created_at desc"""
SETTINGS = """select camera_id, name, location, is_active from camera_settings
where environment_id = $1"""
ADD_CALIBRATION = """
insert into camera_calibrations (environment_id, camera_id, point_pairs) values ($1, $2, $3::jsonb)
returning created_at"""
PUT_SETTINGS = """
insert into camera_settings as s (environment_id, camera_id, name, location, is_active)
values ($1, $2, $3, $4, $5)
on conflict (environment_id, camera_id) do update set name = coalesce(excluded.name, s.name),
  location = coalesce(excluded.location, s.location),
  is_active = coalesce(excluded.is_active, s.is_active), updated_at = now()"""


class PointPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pixel of the camera's picture, and the floor point it shows in metres on the map."""

    image_px: Pixel
    ground_m: tuple[float, float]


class NewCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Four pairs or more, better ten, spread over the floor that the camera sees."""

    point_pairs: Annotated[list[PointPair], msgspec.Meta(min_length=4, max_length=500)]


class Calibration(msgspec.Struct, frozen=True):
    """A camera's homography: undistorted pixels to metres, and its error over the point pairs.

    Errors are null where the matrix was given instead of pairs. ``calibrated_at`` is null for the
    calibration of the environment's file. ``residual_m`` has one entry for each pair, null where
    the pixel lies behind the horizon; pairs with ``is_outlier`` were not used.
    """

    camera_id: str
    environment_id: str
    image_to_ground: list[list[float]]
    rmse_m: float | None
    rmse_px: float | None
    leave_one_out_rmse_m: float | None
    sigma_m: float | None
    residual_m: list[float | None]
    is_outlier: list[bool]
    warnings: list[str]
    calibrated_at: datetime | None


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be changed; null leaves it. Tasks that name no cameras leave inactive ones out."""

    name: Text | None = None
    location: Text | None = None
    is_active: bool | None = None


class CameraView(CameraInfo, frozen=True, kw_only=True):
    """A camera and whose it is."""

    environment_id: str


class CameraViews(msgspec.Struct, frozen=True):
    """Cameras of one environment, or of all."""

    cameras: list[CameraView]


EXAMPLE: dict[str, Any] = {
    "camera_id": "c01",
    "environment_id": "campus",
    "name": "Entrance",
    "location": "north wall",
    "is_active": True,
    "resolution": "1920x1080",
    "width": 1920,
    "height": 1080,
    "fps": 10.0,
    "has_homography": True,
    "position_m": [2.1, 14.8],
    "warnings": [],
}
EXAMPLE_CALIBRATION: dict[str, Any] = {
    "camera_id": "c01",
    "environment_id": "campus",
    "image_to_ground": [[0.0, -0.06, 26.0], [0.04, 0.0, -2.0], [0.0, 0.0, 1.0]],
    "rmse_m": 0.12,
    "rmse_px": 3.4,
    "leave_one_out_rmse_m": 0.2,
    "sigma_m": 0.11,
    "residual_m": [0.1, 0.13, 0.08, 0.15],
    "is_outlier": [False, False, False, False],
    "warnings": [],
    "calibrated_at": "2026-01-01T12:00:00Z",
}
ERRORS = (
    UnknownEnvironmentError,
    UnknownCameraError,
    InvalidInputError,
    DatabaseUnavailableError,
)


async def with_stored(
    connection: Any, environment: Environment, before: datetime | None = None
) -> tuple[Environment, Mapping[str, datetime], frozenset[str]]:
    """The environment with the calibrations and settings stored for it; when each calibration was
    given; and which cameras are inactive. ``before`` leaves out later calibrations.
    """
    given = await connection.fetch(CALIBRATIONS, environment.environment_id, before)
    settings = await connection.fetch(SETTINGS, environment.environment_id)
    cameras = {camera.camera_id: camera for camera in environment.cameras}
    times = {}
    for row in given:
        camera = cameras.get(row["camera_id"])
        if camera is not None:
            pairs = msgspec.json.decode(row["point_pairs"], type=list[PointPair])
            cameras[camera.camera_id] = recalibrated(camera, pairs)
            times[camera.camera_id] = row["created_at"]
    for row in settings:
        camera = cameras.get(row["camera_id"])
        if camera is not None:
            names = {k: row[k] for k in ("name", "location") if row[k] is not None}
            cameras[camera.camera_id] = dataclasses.replace(camera, **names)
    inactive = frozenset(r["camera_id"] for r in settings if r["is_active"] is False)
    whole = dataclasses.replace(environment, cameras=tuple(cameras.values()))
    return whole, times, inactive


async def environment_of_task(store: Store, environment: Environment, task_id: str) -> Environment:
    """What a worker plays a task with: calibrations given before the task was made."""
    async with store.connection() as connection:
        created_at = await connection.fetchval(
            "select created_at from tasks where task_id = $1", parse_task_id(task_id)
        )
        return (await with_stored(connection, environment, created_at))[0]


def recalibrated(camera: Camera, pairs: Sequence[PointPair]) -> Camera:
    """The camera with a homography fitted to the pairs; InvalidInputError where none fits."""
    fit = fitted(camera, pairs)
    plane = GroundPlane.from_fit(fit, camera.width, camera.height, lens=camera.ground_plane.lens)
    return dataclasses.replace(camera, ground_plane=plane, fit=fit, warnings=fit.warnings)


def fitted(camera: Camera, pairs: Sequence[PointPair]) -> Fit:
    """InvalidInputError naming the camera for pairs that determine no homography."""
    try:
        return fit_homography(
            [pair.image_px for pair in pairs],
            [pair.ground_m for pair in pairs],
            image_size=(camera.width, camera.height),
            lens=camera.ground_plane.lens,
        )
    except CalibrationError as error:
        raise InvalidInputError(f"camera {camera.camera_id!r}: {error}") from error


async def find_camera(
    connection: Any, environments: Sequence[Environment], camera_id: str
) -> tuple[Environment, Camera, datetime | None, bool]:
    """The camera as it is now, when it was calibrated here, and whether it is active;
    UnknownCameraError when no environment has it, InvalidInputError when several do.
    """
    homes = [e for e in environments if any(c.camera_id == camera_id for c in e.cameras)]
    if not homes:
        raise UnknownCameraError(f"there is no camera {camera_id!r}; GET {API} lists them")
    if len(homes) > 1:
        names = ", ".join(environment.environment_id for environment in homes)
        raise InvalidInputError(
            f"camera {camera_id!r} is in several environments ({names}): add environment_id"
        )
    environment, times, inactive = await with_stored(connection, homes[0])
    camera = next(c for c in environment.cameras if c.camera_id == camera_id)
    return environment, camera, times.get(camera_id), camera_id not in inactive


@get(API, tags=["cameras"], opt={"role": "viewer"},
     responses=documented(200, CameraViews, {"cameras": [EXAMPLE]}, *ERRORS))  # fmt: skip
async def list_cameras(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: FromQuery[str | None] = None,
) -> CameraViews:
    """All cameras, or those of one environment."""
    views: list[CameraView] = []
    async with services.store.connection() as connection:
        for place in visible(services, caller, environment_id):
            environment, _, inactive = await with_stored(connection, place)
            infos = camera_infos(environment)
            views += [view(i, environment, i.camera_id not in inactive) for i in infos]
    return CameraViews(views)


@get(f"{API}/{{camera_id:str}}", tags=["cameras"], opt={"role": "viewer"},
     responses=documented(200, CameraView, EXAMPLE, *ERRORS))  # fmt: skip
async def camera_detail(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    camera_id: CameraId,
    environment_id: FromQuery[str | None] = None,
) -> CameraView:
    """One camera."""
    places = visible(services, caller, environment_id)
    async with services.store.connection() as connection:
        environment, _, _, is_active = await find_camera(connection, places, camera_id)
    info = next(i for i in camera_infos(environment) if i.camera_id == camera_id)
    return view(info, environment, is_active)


@get(f"{API}/{{camera_id:str}}/calibration", tags=["cameras"], opt={"role": "viewer"},
     responses=documented(200, Calibration, EXAMPLE_CALIBRATION, *ERRORS))  # fmt: skip
async def read_calibration(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    camera_id: CameraId,
    environment_id: FromQuery[str | None] = None,
) -> Calibration:
    """The homography that tasks started now use, and how far its points are off."""
    places = visible(services, caller, environment_id)
    async with services.store.connection() as connection:
        environment, camera, time, _ = await find_camera(connection, places, camera_id)
    return calibration(environment, camera, time)


@put(f"{API}/{{camera_id:str}}/calibration", tags=["cameras"], opt={"role": "admin"},
     responses=documented(200, Calibration, EXAMPLE_CALIBRATION, *ERRORS))  # fmt: skip
async def calibrate(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    camera_id: CameraId,
    data: JSONBody[NewCalibration],
    environment_id: FromQuery[str | None] = None,
) -> Calibration:
    """Fit a homography to point pairs and use it for tasks started from now on."""
    places = visible(services, caller, environment_id)
    async with services.store.connection() as connection, connection.transaction():
        environment, camera, _, _ = await find_camera(connection, places, camera_id)
        fresh = recalibrated(camera, data.point_pairs)
        pairs = msgspec.json.encode(data.point_pairs).decode()
        key = (environment.environment_id, camera_id)
        time = await connection.fetchval(ADD_CALIBRATION, *key, pairs)
        await record(services, caller, "cameras.calibrate", camera_id, connection=connection)
    return calibration(environment, fresh, time)


@put(f"{API}/{{camera_id:str}}/settings", tags=["cameras"], opt={"role": "admin"},
     responses=documented(200, CameraView, EXAMPLE, *ERRORS))  # fmt: skip
async def change_settings(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    camera_id: CameraId,
    data: JSONBody[CameraSettings],
    environment_id: FromQuery[str | None] = None,
) -> CameraView:
    """Rename a camera, or take it out of tasks that name no cameras."""
    places = visible(services, caller, environment_id)
    async with services.store.connection() as connection, connection.transaction():
        environment, *_ = await find_camera(connection, places, camera_id)
        key = (environment.environment_id, camera_id)
        await connection.execute(PUT_SETTINGS, *key, data.name, data.location, data.is_active)
        await record(services, caller, "cameras.change", camera_id, connection=connection)
        environment, _, _, is_active = await find_camera(connection, [environment], camera_id)
    info = next(i for i in camera_infos(environment) if i.camera_id == camera_id)
    return view(info, environment, is_active)


def view(info: CameraInfo, environment: Environment, is_active: bool) -> CameraView:
    """A camera as this resource shows it."""
    values = {field: getattr(info, field) for field in CameraInfo.__struct_fields__}
    values["is_active"] = is_active
    return CameraView(**values, environment_id=environment.environment_id)


def calibration(environment: Environment, camera: Camera, time: datetime | None) -> Calibration:
    """A camera's homography and its errors."""
    fit = camera.fit
    return Calibration(
        camera.camera_id,
        environment.environment_id,
        camera.ground_plane.image_to_ground.tolist(),
        None if fit is None else _finite(fit.rmse_m),
        None if fit is None else _finite(fit.rmse_px),
        None if fit is None else _finite(fit.leave_one_out_rmse_m),
        None if fit is None else _finite(fit.sigma_m),
        [] if fit is None else [_finite(value) for value in fit.residual_m.tolist()],
        [] if fit is None else (~fit.is_inlier).tolist(),
        list(camera.warnings),
        time,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


HANDLERS: list[ControllerRouterHandler] = [
    list_cameras,
    camera_detail,
    read_calibration,
    calibrate,
    change_settings,
]
