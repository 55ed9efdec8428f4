"""What the OpenAPI document shows is what the handlers answer."""

from typing import Any

import msgspec
import pytest

from control_plane import analytics_examples as examples
from control_plane import analytics_live, cameras, persons, sessions, zones
from control_plane.analytics import answers, dashboard, people
from control_plane.pages import Page
from control_plane.storage import retention, upkeep

SHOWN: list[tuple[Any, Any]] = [
    (answers.Occupancy, examples.OCCUPANCY),
    (answers.ZoneOccupancy, examples.ZONE_OCCUPANCY),
    (answers.Heatmap, examples.HEATMAP),
    (answers.Flow, examples.FLOW),
    (answers.Paths, examples.PATHS),
    (dashboard.Detections, examples.DETECTIONS),
    (dashboard.Summary, examples.SUMMARY),
    (dashboard.Dashboard, examples.DASHBOARD),
    (dashboard.Comparison, examples.COMPARISON),
    (analytics_live.Tracking, examples.TRACKING),
    (analytics_live.LiveMetrics, analytics_live.EXAMPLE_METRICS),
    (analytics_live.LivePersons, analytics_live.EXAMPLE_LIVE),
    (analytics_live.CameraLoads, analytics_live.EXAMPLE_LOADS),
    (people.Journey, examples.JOURNEY),
    (people.Trajectory, examples.TRAJECTORY),
    (people.Behaviour, examples.BEHAVIOUR),
    (Page[people.PersonRow], persons.EXAMPLE_PAGE),
    (persons.PersonDetails, persons.EXAMPLE_DETAILS),
    (cameras.CameraView, cameras.EXAMPLE),
    (cameras.Calibration, cameras.EXAMPLE_CALIBRATION),
    (sessions.Session, sessions.EXAMPLE),
    (upkeep.MaintenanceReport, upkeep.EXAMPLE),
    (zones.ZoneLayout, msgspec.to_builtins(zones.EXAMPLE_LAYOUT)),
    (retention.Retention, msgspec.to_builtins(retention.EXAMPLE)),
]


@pytest.mark.parametrize(("kind", "shown"), SHOWN, ids=lambda v: getattr(v, "__name__", ""))
def test_an_example_has_every_field_of_its_type(kind, shown):
    """No more, no fewer, each of the right kind."""
    made = msgspec.convert(shown, kind)
    assert set(msgspec.to_builtins(made)) == set(shown)
