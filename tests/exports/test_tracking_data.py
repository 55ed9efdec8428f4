"""Stored rows as files: every row once, the same in every format, and what the manifest says."""

import csv
import hashlib
import io
import json
from datetime import datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.control_plane.people import error_code
from tests.control_plane.serving import Running
from tests.control_plane.stored_world import START, World, person_id, query
from tests.exports.conftest import API, ended, file_of

Hall = tuple[Running, World]


def exported(app: Running, **order: Any) -> tuple[dict[str, Any], bytes]:
    body = {"environment_id": "hall"} | order
    job = ended(app, app.http.post(f"{API}/tracking-data", json=body))
    return job, file_of(app, job)


def rows_of(content: bytes, form: str) -> list[dict[str, Any]]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    if form == "json":
        return [json.loads(line) for line in content.splitlines()]
    return list(pq.read_table(io.BytesIO(content)).to_pylist())


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    time = row["media_time"]
    moment = time if isinstance(time, datetime) else datetime.fromisoformat(time)
    return moment, row["camera_id"], int(row["track_id"]), row["global_id"]


def test_every_stored_row_is_in_the_file_once_in_order_of_time(hall: Hall) -> None:
    app, world = hall
    stored = query(
        str(app.settings.database_url),
        "select media_time, camera_id, track_id, global_id::text from tracking_events "
        "where task_id = $1 order by 1, 2, 3",
        world.task_id,
    )
    for form in ("csv", "json", "parquet"):
        job, content = exported(app, format=form)
        assert [key(row) for row in rows_of(content, form)] == [tuple(r) for r in stored]
        assert job["manifest"]["rows"] == len(stored)


def test_the_manifest_names_query_size_and_sha256(hall: Hall) -> None:
    job, content = exported(hall[0], camera_id="h1")
    manifest = job["manifest"]
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["bytes"] == len(content)
    assert manifest["query"]["camera_id"] == "h1"
    assert manifest["media_type"] == "text/csv"
    assert {row["camera_id"] for row in rows_of(content, "csv")} == {"h1"}


def test_filters_cut_time_to_the_row(hall: Hall) -> None:
    """From the start, included, to the end, excluded; one person."""
    start, end = START + timedelta(seconds=10), START + timedelta(seconds=12)
    order = {"start_time": start.isoformat(), "end_time": end.isoformat(), "format": "json"}
    _, content = exported(hall[0], global_id=person_id("ben"), **order)
    times = sorted({key(row)[0] for row in rows_of(content, "json")})
    assert len(times) == 20
    assert times[0] == start
    assert times[-1] == end - timedelta(milliseconds=100)


def test_positions_on_the_floor_can_be_had_too(hall: Hall) -> None:
    _, content = exported(hall[0], rows="positions", format="parquet")
    rows = rows_of(content, "parquet")
    assert len({(r["global_id"], r["frame_index"]) for r in rows}) == len(rows) == 610 + 450 + 300
    assert rows[0]["camera_ids"] == ["h1", "h2"]


def test_where_nothing_is_stored_the_file_has_no_rows(hall: Hall) -> None:
    job, content = exported(
        hall[0], start_time="2020-01-01T00:00:00Z", end_time="2020-01-02T00:00:00Z"
    )
    assert job["manifest"]["rows"] == 0
    assert len(content.splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"environment_id": "nowhere"}, 404, "environment_not_found"),
        ({"environment_id": "hall", "camera_id": "c9"}, 404, "camera_not_found"),
        ({"environment_id": "hall", "global_id": "'; drop table persons"}, 404, "person_not_found"),
        ({"environment_id": "hall", "task_id": "../../etc/passwd"}, 404, "task_not_found"),
        ({"environment_id": "hall", "format": "xlsx"}, 400, "validation_failed"),
        ({"environment_id": "hall", "more": 1}, 400, "validation_failed"),
        (
            {
                "environment_id": "hall",
                "start_time": "2024-05-02T00:00:00Z",
                "end_time": "2024-05-01T00:00:00Z",
            },
            400,
            "time_range_invalid",
        ),
        (
            {"environment_id": "hall", "start_time": "2024-05-01T00:00:00"},
            400,
            "time_range_invalid",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_and_no_job_is_made(
    hall: Hall, body: dict[str, Any], status: int, code: str
) -> None:
    app, _ = hall
    before = app.http.get(f"{API}/jobs", params={"limit": 200}).json()["items"]
    assert error_code(app.http.post(f"{API}/tracking-data", json=body), status) == code
    assert app.http.get(f"{API}/jobs", params={"limit": 200}).json()["items"] == before
