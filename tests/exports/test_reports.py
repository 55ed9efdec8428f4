"""Reports: one page that needs nothing else, the same figures as the analytics, on a schedule."""

import json
import re
import uuid
from datetime import UTC, datetime

import pytest

from control_plane.exports.schedules import enqueue_due, next_due
from tests.control_plane.people import error_code
from tests.control_plane.serving import Running
from tests.control_plane.stored_world import World, query, rolled_up, run
from tests.exports.conftest import API, ended, file_of

Hall = tuple[Running, World]
REPORTS = "/api/v1/analytics/reports"


def test_a_page_holds_everything_it_shows(hall: Hall) -> None:
    """Plots are in it, nothing is loaded from elsewhere, and names from outside are only text."""
    app, _ = hall
    url = str(app.settings.database_url)
    corners = "[[8, 8], [12, 8], [12, 12]]"
    query(
        url,
        "insert into zones values ('hall', 'odd', '<b>$x$</b>', 'area', $1::jsonb, 1)",
        corners,
    )
    rolled_up(url, {"hall": {}})
    job = ended(app, app.http.post(f"{API}/analytics-report", json={"environment_id": "hall"}))
    page = file_of(app, job).decode()
    query(url, "delete from zones where zone_id = 'odd'")
    assert page.count("<svg") == 3
    assert not re.search(r"<(script|link|img|iframe)|https?://(?!www\.w3\.org)", page)
    assert "&lt;b&gt;$x$&lt;/b&gt;" in page
    assert "<b>$x$</b>" not in page
    assert "Entrance" in page


def test_the_report_says_what_the_analytics_say(hall: Hall) -> None:
    app, _ = hall
    body = {"environment_id": "hall", "format": "json"}
    job = ended(app, app.http.post(f"{REPORTS}/generate", json=body))
    report = json.loads(file_of(app, job))
    summary = app.http.get("/api/v1/analytics/historical/hall/summary").json()
    for name in ("unique_persons", "total_detections", "mean_occupancy", "range"):
        assert report["summary"][name] == summary[name]
    assert job["manifest"]["query"]["format"] == "json"


def test_where_nothing_is_stored_the_page_says_so(hall: Hall) -> None:
    app, _ = hall
    body = {
        "environment_id": "hall",
        "start_time": "2020-01-01T00:00:00Z",
        "end_time": "2020-01-02T00:00:00Z",
    }
    job = ended(app, app.http.post(f"{API}/analytics-report", json=body))
    page = file_of(app, job).decode()
    assert "Nothing is stored of this stretch" in page
    assert "<svg" not in page


def test_a_due_report_is_queued_once_however_many_replicas_ask(hall: Hall) -> None:
    """And covers the newest day that is stored, however long ago it was recorded."""
    app, _ = hall
    url = str(app.settings.database_url)
    body = {"environment_id": "hall", "every": "daily", "format": "json"}
    made = app.http.post(f"{REPORTS}/schedules", json=body).json()
    assert made in app.http.get(f"{REPORTS}/schedules").json()["items"]
    schedule_id = uuid.UUID(made["schedule_id"])
    due = "update report_schedules set next_due = now() - interval '1 hour' where schedule_id = $1"
    query(url, due, schedule_id)
    run(url, enqueue_due)
    run(url, enqueue_due)
    jobs = "select job_id::text from export_jobs where schedule_id = $1"
    queued = query(url, jobs, schedule_id)
    assert len(queued) == 1
    answer = app.http.get(f"{API}/jobs/{queued[0][0]}/status")
    report = json.loads(file_of(app, ended(app, answer)))
    assert report["summary"]["range"]["end_time"].startswith("2024-05-01T09:01:05")
    assert report["summary"]["unique_persons"] == 3
    url_of_one = f"{REPORTS}/schedules/{made['schedule_id']}"
    assert app.http.delete(url_of_one).status_code == 204
    assert error_code(app.http.delete(url_of_one), 404) == "schedule_not_found"


@pytest.mark.parametrize(
    ("every", "due"),
    [
        ("hourly", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("daily", datetime(2024, 5, 2, tzinfo=UTC)),
        ("weekly", datetime(2024, 5, 6, tzinfo=UTC)),
    ],
)
def test_schedules_keep_to_the_full_hour_midnight_and_monday(every: str, due: datetime) -> None:
    """2024-05-01 is a Wednesday."""
    assert next_due(every, datetime(2024, 5, 1, 9, 30, tzinfo=UTC)) == due  # type: ignore[arg-type]
    assert next_due(every, due) > due  # type: ignore[arg-type]
