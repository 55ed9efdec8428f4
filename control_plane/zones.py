"""``/api/v1/zones``: pieces of the floor. Those of the environments' files hold until an admin
changes or deletes them here; admins may also make new ones.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, PathParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics.floor import Array, area_m2, inside_distance
from control_plane.audit import record
from control_plane.errors import ZoneNotFoundError, documented
from control_plane.services import Services
from homography.environment import Camera, Environment, Zone
from homography.plan_checks import outside_of, polygon_mistake
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    UnknownEnvironmentError,
)

API = "/api/v1/zones"
MAX_CORNERS = 200
GRID = 15
Corner = tuple[float, float]
Corners = Annotated[list[Corner], msgspec.Meta(min_length=3, max_length=MAX_CORNERS)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Slug = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Capacity = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
ZoneId = Annotated[str, PathParameter(description="such as entrance", max_length=64)]

SELECT = """select environment_id, zone_id, name, zone_type, polygon_m, capacity, is_deleted
from zones where $1::text is null or environment_id = $1"""
PUT = """
insert into zones (environment_id, zone_id, name, zone_type, polygon_m, capacity)
values ($1, $2, $3, $4, $5::jsonb, $6)
on conflict (environment_id, zone_id) do update set name = excluded.name,
  zone_type = excluded.zone_type, polygon_m = excluded.polygon_m, capacity = excluded.capacity,
  is_deleted = false, updated_at = now()"""
DELETE = """
insert into zones (environment_id, zone_id, name, zone_type, polygon_m, is_deleted)
values ($1, $2, '', '', '[]', true)
on conflict (environment_id, zone_id) do update set is_deleted = true, updated_at = now()"""


class ZoneView(msgspec.Struct, frozen=True):
    """A zone and whose it is."""

    zone_id: str
    environment_id: str
    name: str
    zone_type: str
    capacity: int | None
    area_m2: float


class ZoneViews(msgspec.Struct, frozen=True):
    """Zones of one environment, or of all."""

    zones: list[ZoneView]


class ZoneLayout(msgspec.Struct, frozen=True):
    """Where a zone lies: corners, bounds (x0, y0, x1, y1) and centroid in metres on the map."""

    zone_id: str
    environment_id: str
    coordinates: list[Corner]
    bounds_m: tuple[float, float, float, float]
    centroid_m: Corner
    map_bounds_m: tuple[float, float, float, float]


class ZoneCamera(msgspec.Struct, frozen=True):
    """A camera that sees a zone, and how much of it (0 to 1)."""

    camera_id: str
    name: str
    visible_share: float


class ZoneCameras(msgspec.Struct, frozen=True):
    """Cameras that see a zone, best first."""

    zone_id: str
    environment_id: str
    cameras: list[ZoneCamera]


class NewZone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A zone: corners in metres, in order, not closed. ``capacity`` null means no alerts."""

    environment_id: str
    zone_id: Slug
    name: Name
    coordinates: Corners
    zone_type: Name = "area"
    capacity: Capacity | None = None


class ChangedZone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a zone but its name in paths."""

    name: Name
    coordinates: Corners
    zone_type: Name = "area"
    capacity: Capacity | None = None


EXAMPLE = ZoneView("entrance", "campus", "Entrance", "entrance", 10, 12.0)
EXAMPLE_LAYOUT = ZoneLayout(
    "entrance",
    "campus",
    [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)],
    (0.0, 0.0, 4.0, 3.0),
    (2.0, 1.5),
    (0.0, 0.0, 20.0, 15.0),
)
EXAMPLE_CAMERAS = ZoneCameras("entrance", "campus", [ZoneCamera("c01", "Entrance", 0.9)])
ERRORS = (UnknownEnvironmentError, ZoneNotFoundError, InvalidInputError, DatabaseUnavailableError)


async def zones_of(connection: Any, environment: Environment) -> dict[str, Zone]:
    """The zones that hold in an environment, by id: the file's, less and with those stored."""
    zones = {zone.zone_id: zone for zone in environment.zones}
    for row in await connection.fetch(SELECT, environment.environment_id):
        _overlay(zones, row)
    return zones


async def with_stored_zones(services: Services, environment: Environment) -> Environment:
    """The environment with the zones that hold in it."""
    async with services.store.connection() as connection:
        zones = await zones_of(connection, environment)
    return dataclasses.replace(environment, zones=tuple(zones.values()))


async def all_polygons(
    connection: Any, environments: Sequence[Environment]
) -> dict[str, dict[str, Array]]:
    """Polygons of every environment, as rollups take them."""
    zones = {e.environment_id: {z.zone_id: z for z in e.zones} for e in environments}
    for row in await connection.fetch(SELECT, None):
        if row["environment_id"] in zones:
            _overlay(zones[row["environment_id"]], row)
    return {e: {z: zone.polygon_m for z, zone in own.items()} for e, own in zones.items()}


async def find_zone(
    connection: Any, environments: Sequence[Environment], zone_id: str
) -> tuple[Environment, Zone]:
    """The zone of that id among these environments; ZoneNotFoundError when none has it,
    InvalidInputError when several do.
    """
    found = [
        (environment, zones[zone_id])
        for environment in environments
        if zone_id in (zones := await zones_of(connection, environment))
    ]
    if not found:
        raise ZoneNotFoundError(f"there is no zone {zone_id!r}; GET {API} lists those there are")
    if len(found) > 1:
        names = ", ".join(environment.environment_id for environment, _ in found)
        raise InvalidInputError(
            f"zone {zone_id!r} is in several environments ({names}): add environment_id"
        )
    return found[0]


def visible(
    services: Services, caller: Caller, environment_id: str | None = None
) -> list[Environment]:
    """The environments a caller may see, or the one asked for; UnknownEnvironmentError."""
    if environment_id is not None:
        return [visible_environment(services, caller, environment_id)]
    every = services.catalogue.environments.values()
    return [e for e in every if caller.may_see(e.environment_id)]


@get(API, tags=["zones"], opt={"role": "viewer"},
     responses=documented(200, ZoneViews, ZoneViews([EXAMPLE]), *ERRORS))  # fmt: skip
async def list_zones(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: FromQuery[str | None] = None,
) -> ZoneViews:
    """All zones, or those of one environment."""
    views = []
    async with services.store.connection() as connection:
        for environment in visible(services, caller, environment_id):
            zones = await zones_of(connection, environment)
            views += [view(environment, zone) for zone in zones.values()]
    return ZoneViews(views)


@get(f"{API}/{{zone_id:str}}/layout", tags=["zones"], opt={"role": "viewer"},
     responses=documented(200, ZoneLayout, EXAMPLE_LAYOUT, *ERRORS))  # fmt: skip
async def zone_layout(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    zone_id: ZoneId,
    environment_id: FromQuery[str | None] = None,
) -> ZoneLayout:
    """Where a zone lies on the map."""
    async with services.store.connection() as connection:
        places = visible(services, caller, environment_id)
        environment, zone = await find_zone(connection, places, zone_id)
    return layout(environment, zone)


@get(f"{API}/{{zone_id:str}}/cameras", tags=["zones"], opt={"role": "viewer"},
     responses=documented(200, ZoneCameras, EXAMPLE_CAMERAS, *ERRORS))  # fmt: skip
async def zone_cameras(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    zone_id: ZoneId,
    environment_id: FromQuery[str | None] = None,
) -> ZoneCameras:
    """Which cameras see a zone's floor, by their calibrations."""
    async with services.store.connection() as connection:
        places = visible(services, caller, environment_id)
        environment, zone = await find_zone(connection, places, zone_id)
    seen = [
        ZoneCamera(c.camera_id, c.name, round(visible_share(c, zone.polygon_m), 3))
        for c in environment.cameras
    ]
    best = sorted((c for c in seen if c.visible_share > 0), key=lambda c: -c.visible_share)
    return ZoneCameras(zone.zone_id, environment.environment_id, best)


@post(API, status_code=201, tags=["zones"], opt={"role": "admin"},
      responses=documented(201, ZoneView, EXAMPLE, *ERRORS))  # fmt: skip
async def create_zone(
    services: NamedDependency[Services], caller: NamedDependency[Caller], data: JSONBody[NewZone]
) -> ZoneView:
    """Make a zone. Its visits are worked out from what is stored, in the background."""
    [environment] = visible(services, caller, data.environment_id)
    async with services.store.connection() as connection, connection.transaction():
        if data.zone_id in await zones_of(connection, environment):
            raise InvalidInputError(
                f"environment {data.environment_id!r} has a zone {data.zone_id!r} already: change "
                "it with PUT, or choose another id"
            )
        zone = _checked(environment, data.zone_id, data)
        await _put(connection, environment, zone)
        await record(services, caller, "zones.create", zone.zone_id, connection=connection)
    return view(environment, zone)


@put(f"{API}/{{zone_id:str}}", tags=["zones"], opt={"role": "admin"},
     responses=documented(200, ZoneView, EXAMPLE, *ERRORS))  # fmt: skip
async def change_zone(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    zone_id: ZoneId,
    data: JSONBody[ChangedZone],
    environment_id: FromQuery[str | None] = None,
) -> ZoneView:
    """Change a zone. Visits already stored are worked out anew, in the background."""
    async with services.store.connection() as connection, connection.transaction():
        places = visible(services, caller, environment_id)
        environment, _ = await find_zone(connection, places, zone_id)
        zone = _checked(environment, zone_id, data)
        await _put(connection, environment, zone)
        await record(services, caller, "zones.change", zone_id, connection=connection)
    return view(environment, zone)


@delete(f"{API}/{{zone_id:str}}", status_code=200, tags=["zones"], opt={"role": "admin"},
        responses=documented(200, ZoneView, EXAMPLE, *ERRORS))  # fmt: skip
async def delete_zone(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    zone_id: ZoneId,
    environment_id: FromQuery[str | None] = None,
) -> ZoneView:
    """Delete a zone, one of an environment's file too, and its visits; returns what it was."""
    async with services.store.connection() as connection, connection.transaction():
        places = visible(services, caller, environment_id)
        environment, zone = await find_zone(connection, places, zone_id)
        await connection.execute(DELETE, environment.environment_id, zone.zone_id)
        await record(services, caller, "zones.delete", zone_id, connection=connection)
    return view(environment, zone)


def view(environment: Environment, zone: Zone) -> ZoneView:
    """A zone as lists show it."""
    return ZoneView(
        zone.zone_id,
        environment.environment_id,
        zone.name,
        zone.zone_type,
        zone.capacity,
        round(area_m2(zone.polygon_m), 3),
    )


def layout(environment: Environment, zone: Zone) -> ZoneLayout:
    """A zone's place on the map; the centroid is the corners' mean."""
    x0, y0 = zone.polygon_m.min(axis=0).tolist()
    x1, y1 = zone.polygon_m.max(axis=0).tolist()
    x, y = zone.polygon_m.mean(axis=0).tolist()
    return ZoneLayout(
        zone.zone_id,
        environment.environment_id,
        [(float(a), float(b)) for a, b in zone.polygon_m],
        (x0, y0, x1, y1),
        (x, y),
        environment.map_bounds_m,
    )


def visible_share(camera: Camera, polygon_m: Array) -> float:
    """Share (0 to 1) of a zone's floor that lies in a camera's picture."""
    low, high = polygon_m.min(axis=0), polygon_m.max(axis=0)
    x, y = np.meshgrid(*(np.linspace(a, b, GRID) for a, b in zip(low, high, strict=True)))
    points = np.column_stack([x.ravel(), y.ravel()])
    points = points[inside_distance(points, polygon_m) > 0]
    if not len(points):
        return 0.0
    plane = camera.ground_plane
    px = plane.to_image(points)
    return float(((px >= 0) & (px <= (plane.width - 1, plane.height - 1))).all(axis=1).mean())


def _overlay(zones: dict[str, Zone], row: Mapping[str, Any]) -> None:
    if row["is_deleted"]:
        zones.pop(row["zone_id"], None)
        return
    polygon = np.array(msgspec.json.decode(row["polygon_m"]), dtype=np.float64)
    zones[row["zone_id"]] = Zone(
        row["zone_id"], row["name"], row["zone_type"], polygon, row["capacity"]
    )


def _checked(environment: Environment, zone_id: str, data: NewZone | ChangedZone) -> Zone:
    polygon = np.array(data.coordinates, dtype=np.float64)
    mistake = polygon_mistake(polygon) or outside_of(polygon, environment.map_bounds_m)
    if mistake:
        raise InvalidInputError(f"zone {zone_id!r}: {mistake}".replace("polygon_m", "coordinates"))
    return Zone(zone_id, data.name, data.zone_type, polygon, data.capacity)


async def _put(connection: Any, environment: Environment, zone: Zone) -> None:
    polygon = msgspec.json.encode(zone.polygon_m.tolist()).decode()
    key = (environment.environment_id, zone.zone_id)
    await connection.execute(PUT, *key, zone.name, zone.zone_type, polygon, zone.capacity)


HANDLERS: list[ControllerRouterHandler] = [
    list_zones,
    zone_layout,
    zone_cameras,
    create_zone,
    change_zone,
    delete_zone,
]
