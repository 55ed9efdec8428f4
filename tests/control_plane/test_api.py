"""The REST interface over a real server, PostgreSQL and Redis."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.app import create_app, open_listener
from control_plane.health.probes import Component
from control_plane.settings import Settings
from control_plane.system import overall
from homography.environment import Environment, load_environments
from plugins.errors import InvalidInputError, ObjectStoreUnavailableError, PortInUseError
from plugins.messages import TrackingUpdate, WorkerState, worker_key
from tests.control_plane.serving import Running, all_well, running_app, update_of
from tests.services import free_port

TASKS = "/api/v1/processing-tasks"
HALL = "/api/v1/environments/hall"


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error part, after checking that the body has the one shape all errors have."""
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert set(body) == {"success", "error", "detail", "request_id", "timestamp"}
    assert body["success"] is False
    assert body["detail"] == body["error"]["message"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return dict(body["error"])


def test_a_started_task_can_be_watched_where_the_answer_says(app: Running) -> None:
    body = {"environment_id": "hall", "cameras": ["h2", "h1"], "speed": "max", "seed": 3}
    started = app.http.post(f"{TASKS}/start", json=body).json()
    status = app.http.get(started["status_url"]).json()
    assert status["status"] == "QUEUED"
    assert status["environment_id"] == "hall"
    assert started["websocket_url"] == f"/ws/tracking/{started['task_id']}"


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"environment_id": "mars"}, 404, "environment_not_found", "campus"),
        ({"environment_id": "hall", "cameras": ["c99"]}, 404, "camera_not_found", "h1, h2"),
        ({"environment_id": "hall", "cameras": []}, 400, "validation_failed", "cameras"),
        ({"environment_id": "hall", "speed": 9}, 400, "validation_failed", "speed"),
        ({"environment_id": "hall", "sped": 1}, 400, "validation_failed", "sped"),
        ({"environment_id": "hall", "start_time": "2024-05-01"}, 400, "validation_failed", "time"),
        (
            {
                "environment_id": "hall",
                "start_time": "2024-05-01T09:01:00Z",
                "end_time": "2024-05-01T09:00:00Z",
            },
            400,
            "time_range_invalid",
            "not before",
        ),
        (
            {"environment_id": "hall", "start_time": "2031-01-01T00:00:00Z"},
            400,
            "time_range_invalid",
            "2024-05-01T09:01:00",
        ),
    ],
)
def test_a_task_that_cannot_be_played_is_refused_with_the_reason(
    app: Running, body: dict[str, Any], status: int, code: str, says: str
) -> None:
    error = error_of(app.http.post(f"{TASKS}/start", json=body), status)
    assert error["code"] == code
    assert says in error["message"]


def test_status_is_the_workers_own_while_it_speaks(app: Running) -> None:
    task_id = app.start()
    app.worker.report(task_id, status="PROCESSING", progress=0.5, sets=300, sets_per_s=10.0)
    status = app.http.get(f"{TASKS}/{task_id}/status").json()
    assert (status["status"], status["progress"], status["sets"]) == ("PROCESSING", 0.5, 300)
    assert status["is_live"]


@pytest.mark.parametrize("part", ["status", "active-persons"])
@pytest.mark.parametrize("task_id", [str(uuid.UUID(int=404)), "nonsense"])
def test_an_unknown_task_is_404(app: Running, task_id: str, part: str) -> None:
    assert error_of(app.http.get(f"{TASKS}/{task_id}/{part}"), 404)["code"] == "task_not_found"


def test_active_persons_are_those_of_the_newest_set(app: Running) -> None:
    task_id = app.start()
    assert app.http.get(f"{TASKS}/{task_id}/active-persons").json()["items"] == []
    app.worker.publish(task_id, 0, with_pictures=False)
    app.worker.publish(task_id, 5, with_pictures=False)
    found = app.http.get(f"{TASKS}/{task_id}/active-persons").json()
    assert (found["global_frame_index"], found["total"]) == (5, 4)
    assert found["timestamp_media_utc"] == "2024-05-01T09:00:00.500000Z"
    for person in found["items"]:
        seen_by = _cameras_of(update_of(5), person["global_id"])
        assert person["cameras"] == seen_by
        surest = 0.25 + 0.1 * int(seen_by[0][1]) - 0.1
        assert person["map_uncertainty_m"] == pytest.approx(surest)


def _cameras_of(update: TrackingUpdate, global_id: str) -> list[str]:
    return [
        camera_id
        for camera_id, seen in update.cameras.items()
        if global_id in {track.global_id for track in seen.tracks}
    ]


def test_a_stopped_task_is_no_longer_active_and_stays_in_the_list(app: Running) -> None:
    task_id = app.start()
    assert task_id in {t["task_id"] for t in app.http.get(f"{TASKS}/active").json()["items"]}
    assert app.http.post(f"{TASKS}/{task_id}/stop").json()["status"] == "STOPPED"
    assert app.http.post(f"{TASKS}/{task_id}/stop").status_code == 202
    assert task_id not in {t["task_id"] for t in app.http.get(f"{TASKS}/active").json()["items"]}
    page = app.http.get(TASKS, params={"status": "STOPPED", "environment_id": "hall"}).json()
    assert task_id in {t["task_id"] for t in page["items"]}


def test_the_list_of_tasks_goes_on_at_its_cursor(app: Running) -> None:
    made = {app.start() for _ in range(3)}
    first = app.http.get(TASKS, params={"limit": 1}).json()
    assert first["has_next"]
    rest = app.http.get(TASKS, params={"limit": 200, "cursor": first["next_cursor"]}).json()
    shown = {t["task_id"] for t in first["items"] + rest["items"]}
    assert made <= shown
    assert len(first["items"]) + len(rest["items"]) == first["total"]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 999}, {"cursor": "?"}, {"status": "X"}])
def test_bad_list_parameters_are_named(app: Running, query: dict[str, Any]) -> None:
    error = error_of(app.http.get(TASKS, params=query), 400)
    assert next(iter(query)) in error["message"]


@pytest.mark.parametrize("path", ["/api/v1/environments", "/api/v1/environments/"])
def test_environments_are_listed_with_or_without_a_trailing_slash(app: Running, path: str) -> None:
    listed = {e["environment_id"]: e for e in app.http.get(path).json()["environments"]}
    assert {"campus", "factory", "hall"} <= set(listed)
    assert listed["hall"]["camera_count"] == 4
    assert listed["hall"]["has_data"] is True


def test_an_environment_shows_its_map_cameras_and_zones(app: Running) -> None:
    hall = app.http.get(HALL).json()
    assert hall["map_bounds_m"] == [0, 0, 20, 15]
    assert hall["cameras"] == app.http.get(f"{HALL}/cameras").json()["cameras"]
    assert hall["cameras"][0]["resolution"] == "640x360"
    assert app.http.get(f"{HALL}/zones").json()["zones"][0]["coordinates"][2] == [6.0, 4.0]
    error = error_of(app.http.get("/api/v1/environments/moon"), 404)
    assert "campus" in error["message"]


def test_date_ranges_show_gaps_of_each_camera_and_of_all(app: Running) -> None:
    dates = app.http.get(f"{HALL}/date-ranges").json()
    assert dates["earliest_date"] == "2024-05-01T09:00:00.000000Z"
    assert dates["latest_date"] == "2024-05-01T09:01:00.000000Z"
    assert dates["data_gaps"] == []
    assert dates["cameras"]["h2"]["gaps"][0]["reason"].endswith("is missing")
    assert dates["cameras"]["h4"] == {
        "has_data": False,
        "start": None,
        "end": None,
        "gaps": [],
        "problems": ["no sub-videos under hall/h4/"],
    }


def test_an_object_store_that_is_away_is_503_and_does_not_hide_the_environments(
    tmp_path: Path,
) -> None:
    def refuse(environment: Environment) -> dict[str, Any]:
        raise ObjectStoreUnavailableError(f"s3://x refuses {environment.object_store_prefix}")

    with running_app(tmp_path, read_recordings=refuse) as app:
        answer = app.http.get(f"{HALL}/date-ranges")
        assert error_of(answer, 503)["code"] == "object_store_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        listed = app.http.get("/api/v1/environments").json()["environments"]
        assert {e["has_data"] for e in listed} == {None}


def test_recordings_that_cannot_be_used_do_not_hide_the_environments(tmp_path: Path) -> None:
    """Such as a folder that is not there yet; whoever asks for dates is told."""

    def refuse(_environment: Environment) -> dict[str, Any]:
        raise InvalidInputError("there is no folder /recordings: make it")

    with running_app(tmp_path, read_recordings=refuse) as app:
        assert "make it" in error_of(app.http.get(f"{HALL}/date-ranges"), 400)["message"]
        listed = app.http.get("/api/v1/environments").json()["environments"]
        assert {e["has_data"] for e in listed} == {None}


def test_every_kind_of_refusal_has_the_same_shape(app: Running) -> None:
    assert error_of(app.http.get("/api/v1/nothing"), 404)["code"] == "route_not_found"
    assert error_of(app.http.delete(f"{TASKS}/start"), 405)["code"] == "method_not_allowed"
    too_big = b'{"environment_id": "' + b"x" * 2**21 + b'"}'
    assert error_of(app.http.post(f"{TASKS}/start", content=too_big), 413)
    assert error_of(app.http.post(f"{TASKS}/start", content=b"{"), 400)


def test_the_callers_request_id_is_kept_when_it_is_sane(app: Running) -> None:
    answer = app.http.get("/live", headers={"X-Request-ID": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    answer = app.http.get("/nothing", headers={"X-Request-ID": "a b!"})
    assert len(answer.headers["x-request-id"]) == 32


def test_what_nobody_expected_is_500_without_its_inside(tmp_path: Path) -> None:
    def explode(environment: Environment) -> dict[str, Any]:
        raise ZeroDivisionError(environment.environment_id)

    with running_app(tmp_path, read_recordings=explode) as app:
        answer = app.http.get(f"{HALL}/date-ranges")
        error = error_of(answer, 500)
        assert error["code"] == "internal_error"
        assert "ZeroDivision" not in answer.text
        assert app.http.get("/live").status_code == 200


def test_without_database_and_redis_it_starts_and_says_what_is_missing(tmp_path: Path) -> None:
    """Liveness holds, readiness does not, and nothing hangs."""
    nowhere = free_port()
    with running_app(
        tmp_path,
        database_url=f"postgresql://127.0.0.1:{nowhere}/spoton",
        redis_url=f"redis://127.0.0.1:{nowhere}/0",
    ) as app:
        assert app.http.get("/live").json() == {"status": "alive"}
        answer = app.http.get(TASKS)
        assert error_of(answer, 503)["code"] == "database_unavailable"
        assert "retry-after" in answer.headers
        assert app.http.get("/metrics").status_code == 200
        assert app.http.get(HALL).status_code == 200


def test_health_names_each_part_that_is_away(tmp_path: Path) -> None:
    async def broken() -> Component:
        raise RuntimeError("no route to host")

    with running_app(tmp_path, probes=all_well() | {"redis": broken}) as app:
        health = app.http.get("/health").json()
        assert health["status"] == "degraded"
        assert health["components"]["redis"] == {"status": "away", "detail": "no route to host"}
        assert health["detector_model_loaded"]
        assert health["prototype_tracker_loaded"]
        assert health["homography_matrices_precomputed"]
        error = error_of(app.http.get("/ready"), 503)
        assert error["message"] == "redis: no route to host"


def test_the_default_probes_find_postgresql_redis_and_the_folder(tmp_path: Path) -> None:
    """Triton and workers are not there: the control plane is degraded or starting, not in error."""
    (tmp_path / "recordings").mkdir()
    with running_app(tmp_path, with_default_probes=True) as app:
        components = app.http.get("/health").json()["components"]
        states = {name: part["status"] for name, part in components.items()}
        assert {n for n, s in states.items() if s == "ok"} >= {"database", "redis", "object_store"}
        assert states["triton"] == states["pipeline_workers"] == "away"
        state = WorkerState("host:1", ["some-task"])
        app.worker.redis.set(worker_key("host:1"), state.encode(), ex=60)
        assert app.http.get("/health").json()["components"]["pipeline_workers"]["status"] == "ok"
        assert app.http.get("/ready").status_code == 200
        assert app.http.get("/api/v1/system/status").json()["workers"][0]["owner"] == "host:1"


def test_overall_status_follows_what_is_missing() -> None:
    parts = {name: Component("ok", "") for name in all_well()}
    away = Component("away", "")
    assert overall(parts, 0) == "healthy"
    assert overall(parts | {"triton": away}, 5) == "starting"
    assert overall(parts | {"triton": away}, 500) == "degraded"
    assert overall(parts | {"database": away}, 5) == "error"


def test_metrics_count_requests_by_route_and_show_active_tasks(app: Running) -> None:
    task_id = app.start()
    app.worker.report(task_id, status="PROCESSING", sets=7, sets_per_s=9.5)
    app.http.get("/really/not/there")
    text = app.http.get("/metrics").text
    assert 'spoton_http_requests_total{method="GET",route="unmatched",status="404"}' in text
    assert "really" not in text
    labels = f'environment_id="hall",task_id="{task_id}"'
    assert f"spoton_task_sets_per_s{{{labels}}} 9.5" in text


def test_cors_lets_the_frontend_in_and_nobody_else(app: Running) -> None:
    for origin, allowed in (("http://localhost:5173", True), ("http://evil.example", False)):
        answer = app.http.get("/live", headers={"Origin": origin})
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


def test_every_operation_is_documented_with_an_example(app: Running) -> None:
    paths = app.http.get("/docs/openapi.json").json()["paths"]
    operations = [o for path in paths.values() for o in path.values()]
    assert len(operations) >= 16
    for operation in operations:
        answers = [r for code, r in operation["responses"].items() if code.startswith("2")]
        contents = [answer.get("content", {}).get("application/json") for answer in answers]
        assert all(content.get("examples") for content in contents if content), operation
        assert operation["description"]


@pytest.mark.parametrize("path", ["/", "/docs", "/page/main.js", "/page/style.css"])
def test_the_pages_need_nothing_from_elsewhere(app: Running, path: str) -> None:
    """No address of another host appears in what the browser loads, save XML namespaces."""
    answer = app.http.get(path)
    assert answer.status_code == 200
    text = answer.text.replace("http://www.w3.org", "").replace("http://localhost", "")
    assert "http://" not in text
    assert "https://" not in text


def test_pages_do_not_reach_outside_their_folder(app: Running) -> None:
    assert app.http.get("/page/..%2f..%2fsettings.py").status_code == 404


def test_a_taken_port_is_named_with_its_setting() -> None:
    port = free_port()
    first = open_listener("127.0.0.1", port)
    first.listen()
    try:
        with pytest.raises(PortInUseError, match=rf"{port}.*SPOTON_PORT"):
            open_listener("127.0.0.1", port)
    finally:
        first.close()
    with pytest.raises(InvalidInputError, match="SPOTON_HOST"):
        open_listener("203.0.113.7", port)


def test_the_application_is_made_without_any_service() -> None:
    """The OpenAPI document can be printed anywhere."""
    app = create_app(Settings(), load_environments())
    assert "/api/v1/processing-tasks/start" in (app.openapi_schema.paths or {})
