"""What may be exported; an order is stored with its job and is part of the file's manifest."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from plugins.media.overlays import OverlayStyle

Kind = Literal["tracking-data", "analytics-report", "video"]
Every = Literal["hourly", "daily", "weekly"]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class TrackingDataOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of an environment. ``detections`` are boxes in cameras, ``positions`` places on the
    floor. ``json`` is JSON Lines. Without ``task_id`` one task speaks for each moment, see
    docs/analytics.md; without times everything stored is meant.
    """

    environment_id: Id
    format: Literal["csv", "json", "parquet"] = "csv"
    rows: Literal["detections", "positions"] = "detections"
    start_time: datetime | None = None
    end_time: datetime | None = None
    camera_id: Id | None = None
    global_id: Id | None = None
    task_id: Id | None = None


class ReportOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures of an environment, as one HTML page or as JSON. ``last`` is set by schedules: the
    newest hour, day or week of what is stored.
    """

    environment_id: Id
    format: Literal["html", "json"] = "html"
    start_time: datetime | None = None
    end_time: datetime | None = None
    last: Every | None = None


class VideoOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task's footage with what was tracked drawn in: one camera, or several side by side."""

    task_id: Id
    cameras: Annotated[list[Id], msgspec.Meta(max_length=16)] = []
    start_time: datetime | None = None
    end_time: datetime | None = None
    with_map: bool = True
    style: OverlayStyle = OverlayStyle()


Order = TrackingDataOrder | ReportOrder | VideoOrder
ORDERS: Mapping[Kind, type[Order]] = {
    "tracking-data": TrackingDataOrder,
    "analytics-report": ReportOrder,
    "video": VideoOrder,
}


def kind_of(order: Order) -> Kind:
    """Inverse of ORDERS."""
    return next(kind for kind, own in ORDERS.items() if isinstance(order, own))


def parse_order(kind: Kind, stored: str) -> Order:
    """An order as the job's row holds it."""
    return msgspec.json.decode(stored, type=ORDERS[kind])


def as_query(order: Order) -> dict[str, Any]:
    """What is set in an order, for the manifest."""
    found: dict[str, Any] = msgspec.to_builtins(order)
    return {name: value for name, value in found.items() if value is not None}
