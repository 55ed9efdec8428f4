"""PostgreSQL or Redis gone in the middle of each kind of request: 503 that says when to ask again,
and nothing half written.
"""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.control_plane.cut_line import CutLine
from tests.control_plane.operations import known_values, operations_of, sent
from tests.control_plane.people import PASSWORD, admin_of, error_code, running_secured
from tests.control_plane.serving import Running, write_hall
from tests.control_plane.stored_world import START, World, contents, person_id, query
from tests.services import postgres_url, redis_url

WAYS = {"ana": [(0, 1, 1), (3, 5, 5)], "ben": [(0, 2, 2), (3, 6, 6)]}
CORNERS = [[1, 1], [4, 1], [4, 4]]
TIMES = {"start_time": "2024-05-01T09:00:00Z", "end_time": "2024-05-01T09:01:00Z"}
FLOOR = {(10, 10): (0, 0), (600, 10): (10, 0), (600, 350): (10, 8), (10, 350): (0, 8)}
PAIRS = [{"image_px": pixel, "ground_m": place} for pixel, place in FLOOR.items()]
ANA, BEN = person_id("ana"), person_id("ben")
# In this order each is possible; names in braces come from earlier answers.
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "auth/users", {"username": "zoe", "password": PASSWORD, "role": "viewer"}),
    ("PATCH", "auth/users/{user_id}", {"role": "operator"}),
    ("DELETE", "auth/users/{user_id}", None),
    ("PUT", "auth/me/preferences", {"theme": "dark"}),
    ("POST", "environments/hall/sessions", {"name": "a minute"} | TIMES),
    ("PUT", "environments/hall/retention", {"keep_days": 36_500}),
    (
        "POST",
        "zones",
        {"environment_id": "hall", "zone_id": "bar", "name": "Bar", "coordinates": CORNERS},
    ),
    ("PUT", "zones/bar", {"name": "Long bar", "coordinates": CORNERS, "zone_type": "area"}),
    ("DELETE", "zones/bar", None),
    ("PUT", "cameras/h1/settings", {"location": "north"}),
    ("PUT", "cameras/h1/calibration", {"point_pairs": PAIRS}),
    ("POST", "processing-tasks/start", {"environment_id": "hall"}),
    ("POST", "processing-tasks/{task_id}/stop", None),
    ("POST", "analytics/reports/schedules", {"environment_id": "hall", "every": "daily"}),
    ("DELETE", "analytics/reports/schedules/{schedule_id}", None),
    ("POST", "export/analytics-report", {"environment_id": "hall"}),
    ("POST", "export/tracking-data", {"environment_id": "hall"}),
    ("DELETE", "export/jobs/{job_id}", None),
    ("POST", "feedback/reidentification", {"global_id": ANA, "verdict": "up"}),
    ("POST", f"persons/{ANA}/split", {"since": START.replace(second=1).isoformat()}),
    ("POST", "persons/edits/{edit_id}/undo", None),
    ("POST", f"persons/{ANA}/merge", {"global_id": BEN}),
    ("DELETE", f"persons/{ANA}", None),
]


@pytest.mark.parametrize("away", ["postgresql", "redis"])
def test_a_service_that_goes_while_it_is_asked_is_503_or_does_without(
    tmp_path: Path, away: str
) -> None:
    """Every operation with what it takes to succeed; those that are refused change no table."""
    database, redis = postgres_url(), redis_url()
    with (
        CutLine(socket_of(database)) as to_database,
        CutLine(("127.0.0.1", int(urlsplit(redis).port or 0))) as to_redis,
        running_secured(
            write_hall(tmp_path),
            environments_dir=tmp_path,
            requests_per_min=0,
            database_url=f"postgresql://postgres@127.0.0.1:{to_database.port}"
            f"{urlsplit(database).path}",
            redis_url=f"redis://127.0.0.1:{to_redis.port}{urlsplit(redis).path}",
        ) as app,
    ):
        world = World(WAYS, 4.0)
        world.store(database)
        headers, values = admin_of(app), known_values(world)
        operations = operations_of(app)
        before = contents(database)
        line = to_database if away == "postgresql" else to_redis
        line.is_cut = True
        answers = {o.name: sent(app, headers, o, values) for o in operations}
        refused = [o for o in operations if is_refused(answers[o.name])]
        if away == "postgresql":
            assert len(refused) > len(operations) / 2
        else:
            assert "POST /api/v1/tracking/controls/{task_id}/play" in [o.name for o in refused]
            before = contents(database)  # those that do without Redis have changed it
            writes = [o for o in refused if o.method != "GET"]
            assert all(is_refused(sent(app, headers, o, values)) for o in writes)
        line.is_cut = False
        assert contents(database) == before
        assert app.http.get("/api/v1/processing-tasks", headers=headers).status_code == 200


def is_refused(answer: httpx.Response) -> bool:
    """Whether it is a 503; no other fault is an answer."""
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    is_api = answer.request.url.path.startswith("/api/")
    if answer.status_code == 503 and is_api:
        assert error_code(answer, 503) in {"database_unavailable", "redis_unavailable"}
        assert int(answer.headers["retry-after"]) > 0
    return answer.status_code == 503


def test_no_write_that_breaks_off_in_the_middle_leaves_anything_of_it(tmp_path: Path) -> None:
    """The connection is cut at the last statement, the audit entry; afterwards each succeeds."""
    with running_secured(write_hall(tmp_path), environments_dir=tmp_path) as app:
        url = str(app.settings.database_url)
        World(WAYS, 4.0).store(url)
        headers, known = admin_of(app), dict[str, Any]()
        query(
            url,
            """create function cut() returns trigger language plpgsql as $$ begin
                 perform pg_terminate_backend(pg_backend_pid()); return new; end $$""",
        )
        for method, path, body in WRITES:
            asked = (app, headers, method, path.format(**known), body)
            before = contents(url)
            query(
                url,
                "create trigger cut before insert on audit_log for each row execute function cut()",
            )
            answer = answer_of(*asked)
            query(url, "drop trigger cut on audit_log")
            assert error_code(answer, 503) == "database_unavailable"
            assert int(answer.headers["retry-after"]) > 0
            assert contents(url) == before, (method, path)
            again = answer_of(*asked)
            assert again.is_success, again.text
            known |= again.json() if again.content else {}


def answer_of(
    app: Running, headers: dict[str, str], method: str, path: str, body: Any
) -> httpx.Response:
    return app.http.request(method, f"/api/v1/{path}", json=body, headers=headers)


def socket_of(url: str) -> str:
    """Where the tests' PostgreSQL listens."""
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"
