"""An environment's figures over a stretch of media time, as JSON or as one page."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from control_plane.analytics import answers, dashboard
from control_plane.analytics.answers import Alert, Paths
from control_plane.analytics.dashboard import Dashboard, Summary
from control_plane.analytics.scope import Scope, checked_range, open_scope
from control_plane.exports.orders import ReportOrder
from control_plane.exports.process import Made, Report
from control_plane.exports.schedules import PERIODS
from control_plane.feedback import Agreement, agreement
from control_plane.store import Store
from control_plane.zones import zones_of
from homography.environment import Environment, Zone

NEWEST = "select max(last_at) from processed_minutes where environment_id = $1"


class AnalyticsReport(msgspec.Struct, frozen=True):
    """What a report says. Definitions: docs/analytics.md."""

    environment_id: str
    environment_name: str
    generated_at: datetime
    summary: Summary
    dashboard: Dashboard
    paths: Paths
    alerts: list[Alert]
    feedback: Agreement


async def make_report(
    store: Store, environment: Environment, order: ReportOrder, folder: Path, report: Report
) -> Made:
    """The report's file; see process.make_file."""
    async with (
        store.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        scope = await _scope(connection, environment, order)
        zones = await zones_of(connection, environment)
        found = await _gathered(connection, scope, zones)
    report(0.5)
    path = folder / f"{environment.environment_id}-report.{order.format}"
    if order.format == "json":
        path.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        return Made(path, "application/json", 1, scope.range)
    # Matplotlib takes a second to import, and only a page needs it.
    from control_plane.exports.report_page import page_of  # noqa: PLC0415

    path.write_text(page_of(found, environment, list(zones.values())), encoding="utf-8")
    return Made(path, "text/html", 1, scope.range)


async def _scope(connection: Any, environment: Environment, order: ReportOrder) -> Scope:
    start, end = checked_range(order.start_time, order.end_time)
    if order.last is not None:
        newest = await connection.fetchval(NEWEST, environment.environment_id)
        end = None if newest is None else newest + timedelta(seconds=1 / environment.rate_hz)
        start = None if end is None else end - PERIODS[order.last]
    return await open_scope(connection, environment, start, end)


async def _gathered(connection: Any, scope: Scope, zones: Mapping[str, Zone]) -> AnalyticsReport:
    environment = scope.environment
    return AnalyticsReport(
        environment.environment_id,
        environment.name,
        datetime.now(UTC),
        await dashboard.summary(connection, scope, zones),
        await dashboard.dashboard(connection, scope, zones),
        await answers.paths(connection, scope),
        await answers.alerts(connection, scope, zones),
        await agreement(connection, environment.environment_id),
    )
