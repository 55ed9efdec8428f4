"""``persons/{id}/details``: one person, as the frontend's panel shows them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.types import ControllerRouterHandler

from control_plane import focus
from control_plane.access.callers import Caller
from control_plane.dialect.viewers import TAG
from control_plane.errors import PersonNotFoundError, TaskNotFoundError, documented
from control_plane.focus import EXAMPLE_PERSON, PersonId
from control_plane.identity.movement import MovementMetrics
from control_plane.identity.person_details import PersonDetails
from control_plane.services import Services
from plugins.errors import DatabaseUnavailableError

STORED = """select camera_id, count(*) as detections, sum(confidence) as confidence
from tracking_events where task_id = $1 and global_id = $2 group by camera_id order by camera_id"""


class PersonPosition(msgspec.Struct, frozen=True):
    """Where they were: pixels of the camera, metres on the map."""

    timestamp: datetime
    camera_id: str
    bbox: tuple[float, float, float, float]
    map_coords: tuple[float, float] | None


class Person(msgspec.Struct, frozen=True):
    """``cameras_seen``, ``total_detections`` and ``average_confidence`` (0..1) count what is
    stored; a person who is not yet has none. Times are media time, ``tracking_duration`` seconds.
    """

    global_person_id: str
    first_detected: datetime
    last_seen: datetime
    tracking_duration: float
    cameras_seen: list[str]
    current_camera: str | None
    total_detections: int
    average_confidence: float | None
    movement_metrics: MovementMetrics
    position_history: list[PersonPosition]


EXAMPLE: dict[str, Any] = {
    "global_person_id": EXAMPLE_PERSON,
    "first_detected": "2024-05-01T09:30:02.100000Z",
    "last_seen": "2024-05-01T09:30:41.900000Z",
    "tracking_duration": 39.8,
    "cameras_seen": ["c01"],
    "current_camera": "c01",
    "total_detections": 398,
    "average_confidence": 0.81,
    "movement_metrics": MovementMetrics(1.12, 1.7, 39.4, 35.1),
    "position_history": [
        {
            "timestamp": "2024-05-01T09:30:41.900000Z",
            "camera_id": "c01",
            "bbox": [812.0, 240.5, 901.0, 520.0],
            "map_coords": [7.2, 3.1],
        }
    ],
}


@get("/api/v1/persons/{global_id:str}/details", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, Person, EXAMPLE, PersonNotFoundError, TaskNotFoundError,
                          DatabaseUnavailableError))  # fmt: skip
async def details(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: FromQuery[str | None] = None,
) -> Person:
    """A person's way through the cameras, in ``task_id`` or where they were seen last."""
    found: PersonDetails = await focus.details.fn(
        services=services, caller=caller, global_id=global_id, task_id=task_id
    )
    async with services.store.connection() as connection:
        rows = await connection.fetch(STORED, UUID(found.task_id), UUID(found.global_id))
    total = sum(row["detections"] for row in rows)
    confidence = sum(row["confidence"] for row in rows)
    return Person(
        global_person_id=found.global_id,
        first_detected=found.first_detected,
        last_seen=found.last_seen,
        tracking_duration=found.tracking_duration,
        cameras_seen=[row["camera_id"] for row in rows],
        current_camera=found.current_camera,
        total_detections=total,
        average_confidence=round(confidence / total, 4) if total else None,
        movement_metrics=found.movement_metrics,
        position_history=[
            PersonPosition(s.timestamp, s.camera, s.bbox, s.map_coords)
            for s in found.position_history
        ],
    )


HANDLERS: list[ControllerRouterHandler] = [details]
