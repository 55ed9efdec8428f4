"""PostgreSQL or Redis away while requests come: 503 that says when to ask again."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control_plane.people import error_code
from tests.control_plane.serving import Running, running_app, write_hall
from tests.control_plane.stored_world import START, World, person_id
from tests.services import free_port

ANA = person_id("ana")
READS = [
    "/api/v1/export/jobs",
    f"/api/v1/export/jobs/{uuid.UUID(int=1)}/status",
    f"/api/v1/export/jobs/{uuid.UUID(int=1)}/download",
    "/api/v1/analytics/reports/schedules",
    "/api/v1/feedback/reidentification",
    "/api/v1/persons/edits",
    f"/api/v1/persons/{ANA}/tracks",
    "/api/v1/analytics/dashboard?environment_id=hall",
    "/api/v1/persons/search?environment_id=hall",
    "/api/v1/system/cameras/status",
]
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/api/v1/export/tracking-data", {"environment_id": "hall"}),
    ("POST", "/api/v1/export/analytics-report", {"environment_id": "hall"}),
    (
        "POST",
        "/api/v1/analytics/reports/schedules",
        {"environment_id": "hall", "every": "daily"},
    ),
    ("POST", "/api/v1/feedback/reidentification", {"global_id": ANA, "verdict": "up"}),
    ("POST", f"/api/v1/persons/{ANA}/merge", {"global_id": person_id("ben")}),
    ("POST", f"/api/v1/persons/{ANA}/split", {"since": START.isoformat()}),
    ("DELETE", f"/api/v1/export/jobs/{uuid.UUID(int=1)}", None),
]


@pytest.fixture(scope="module")
def without_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = write_hall(tmp_path_factory.mktemp("no-database"))
    away = f"postgresql://postgres@127.0.0.1:{free_port()}/spoton"
    with running_app(folder, database_url=away) as app:
        yield app


@pytest.mark.parametrize("path", READS)
def test_reads_without_postgres_are_503_with_retry_after(
    without_database: Running, path: str
) -> None:
    answer = without_database.http.get(path)
    assert error_code(answer, 503) == "database_unavailable"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_writes_without_postgres_are_503_with_retry_after(
    without_database: Running, method: str, path: str, body: Any
) -> None:
    answer = without_database.http.request(method, path, json=body)
    assert error_code(answer, 503) == "database_unavailable"
    assert int(answer.headers["retry-after"]) > 0


def test_without_redis_stored_things_are_read_and_written_as_ever(tmp_path: Path) -> None:
    """Only what lives in Redis is 503."""
    folder = write_hall(tmp_path)
    away = f"redis://127.0.0.1:{free_port()}/0"
    with running_app(folder, redis_url=away, environments_dir=folder) as app:
        world = World({"ana": [(0, 1, 1), (3, 5, 5)]}, 4.0)
        world.store(str(app.settings.database_url))
        for path in READS[:1] + READS[3:6]:
            assert app.http.get(path).status_code == 200, path
        body = {"environment_id": "hall"}
        assert app.http.post("/api/v1/export/tracking-data", json=body).status_code == 202
        shots = app.http.get("/api/v1/export/screenshots", params={"task_id": world.task_id})
        assert error_code(shots, 503) == "redis_unavailable"
        assert shots.headers["retry-after"]
