"""The existing frontend's REST calls: every shape, and that the figures are the stored ones."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.control_plane import frontend_shapes as shapes
from tests.control_plane.people import running_secured, user_of
from tests.control_plane.serving import running_app, update_of
from tests.control_plane.stored_world import START, World, person_id, query, rolled_up

TASKS = "/api/v1/detection-processing-tasks"
ANALYTICS = "/api/v1/analytics"
ENTRANCE = {"hall": {"entrance": [[0.5, 0.5], [6.0, 0.5], [6.0, 4.0], [0.5, 4.0]]}}
# Ada leaves the entrance after ten seconds; the guest stays in it from the 30th to the 60th.
WAYS = {
    "ada": [(0, 1.0, 2.0), (20, 11.0, 2.0), (60, 11.0, 2.0)],
    "guest": [(30, 2.0, 1.5), (60, 2.0, 1.5)],
}
DASHBOARD = f"{ANALYTICS}/dashboard?environment_id=hall&window_hours=24&uptime_days=7"


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    """A control plane whose hall has two minutes stored, half a minute of them dark in h2."""
    with running_app(tmp_path_factory.mktemp("frontend")) as app:
        World(WAYS, 120, dark={"h2": (90.0, 120.0)}).store(app.settings.database_url)
        polygons = {e: {z: np.array(p) for z, p in own.items()} for e, own in ENTRANCE.items()}
        rolled_up(app.settings.database_url, polygons)
        yield app


@pytest.fixture
def idle(hall):
    """The hall with nothing playing, before and after."""
    hall.http.delete(f"{TASKS}/environment/hall/cleanup")
    yield hall
    hall.http.delete(f"{TASKS}/environment/hall/cleanup")


def asked(app, path: str, shape: Any, status: int = 200, method: str = "GET", **more: Any) -> Any:
    answer = app.http.request(method, path, **more)
    assert answer.status_code == status, answer.text
    return msgspec.json.decode(answer.content, type=shape)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        (TASKS, shapes.TaskList),
        (f"{TASKS}/", shapes.TaskList),
        (f"{TASKS}/environments", shapes.DetectionEnvironments),
        (DASHBOARD, shapes.Dashboard),
        (f"{ANALYTICS}/dashboard?environment_id=hall", shapes.Dashboard),
        (f"{ANALYTICS}/dashboard?environment_id=factory&window_hours=1", shapes.Dashboard),
        (f"{ANALYTICS}/real-time/metrics", shapes.RealTimeMetrics),
        (f"{ANALYTICS}/real-time/metrics?environment_id=hall", shapes.RealTimeMetrics),
        (f"{ANALYTICS}/real-time/active-persons", shapes.ActivePersons),
        (f"{ANALYTICS}/real-time/active-persons?camera_id=h1", shapes.ActivePersons),
        (f"{ANALYTICS}/real-time/camera-loads", shapes.CameraLoads),
        (f"{ANALYTICS}/real-time/camera-loads/", shapes.CameraLoads),
        (f"{ANALYTICS}/system/statistics", shapes.Statistics),
    ],
)
def test_every_answer_has_the_frontends_shape(hall, path, shape):
    """Names, nesting and kinds, with nothing more and nothing less."""
    asked(hall, path, shape)


def test_environments_with_a_slash_have_what_the_frontend_reads(hall):
    [found] = [
        e
        for e in hall.http.get("/api/v1/environments/").json()["environments"]
        if e["environment_id"] == "hall"
    ]
    assert (found["camera_count"], found["zone_count"], found["has_data"]) == (4, 1, True)
    own = "/api/v1/environments/hall"
    camera = hall.http.get(f"{own}/cameras").json()["cameras"][0]
    assert (camera["camera_id"], camera["resolution"], camera["fps"]) == ("h1", "640x360", 10.0)
    assert hall.http.get(f"{own}/zones").json()["zones"][0]["coordinates"][0] == [0.5, 0.5]
    assert {"earliest_date", "latest_date", "total_days", "has_data", "data_gaps"} <= set(
        hall.http.get(f"{own}/date-ranges").json()
    )


def test_the_environments_of_the_picker_are_the_catalogues(hall):
    listed = asked(hall, f"{TASKS}/environments", shapes.DetectionEnvironments)
    [own] = [e for e in listed.environments if e.environment_id == "hall"]
    assert own.display_name == "Hall"
    assert own.cameras == ["h1", "h2", "h3", "h4"]
    assert own.camera_metadata["h2"].display_name == "East stairs"


def test_a_task_is_started_listed_and_cleaned_up(idle):
    started = asked(
        idle, f"{TASKS}/start", shapes.Started, 202, "POST",
        json={"environment_id": "hall", "debug": False, "render_debug_overlay": True},
    )  # fmt: skip
    assert started.websocket_url == f"/ws/tracking/{started.task_id}"
    status = idle.http.get(started.status_url).json()
    assert (status["status"], status["progress"], status["details"]) == ("QUEUED", 0.0, None)
    newest = asked(idle, TASKS, shapes.TaskList).data.tasks[0]
    assert (newest.task_id, newest.status) == (started.task_id, "QUEUED")
    path = f"{TASKS}/environment/hall/cleanup"
    assert "1 task" in asked(idle, path, shapes.Cleaned, method="DELETE").data.message
    assert asked(idle, TASKS, shapes.TaskList).data.tasks[0].status == "STOPPED"
    assert "0 tasks" in asked(idle, path, shapes.Cleaned, method="DELETE").data.message


def test_a_second_start_is_refused_in_the_words_the_frontend_looks_for(idle):
    body = {"environment_id": "hall"}
    first = asked(idle, f"{TASKS}/start", shapes.Started, 202, "POST", json=body)
    again = idle.http.post(f"{TASKS}/start", json=body)
    assert again.status_code == 400
    assert "already has an active" in again.text
    assert first.task_id in again.json()["detail"]


def test_of_starts_at_the_same_moment_one_wins(idle):
    """A page that is mounted twice sends two."""

    def start(_: int) -> int:
        answer = idle.http.post(f"{TASKS}/start", json={"environment_id": "hall"})
        return answer.status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(start, range(6)))
    assert statuses == [202, 400, 400, 400, 400, 400]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", f"{TASKS}/start", {"environment_id": "mars"}, 404),
        ("POST", f"{TASKS}/start", {}, 400),
        ("DELETE", f"{TASKS}/environment/mars/cleanup", None, 404),
        ("GET", f"{TASKS}/nothing/status", None, 404),
        ("GET", "/api/v1/controls/nothing/status", None, 404),
        ("POST", "/api/v1/focus/nothing", {"global_person_id": "x"}, 404),
        ("GET", f"{ANALYTICS}/dashboard?environment_id=mars&window_hours=1", None, 404),
        ("GET", f"{ANALYTICS}/dashboard?environment_id=hall&window_hours=0", None, 400),
        ("GET", f"{ANALYTICS}/dashboard?window_hours=1", None, 400),
        ("GET", f"{ANALYTICS}/real-time/metrics?environment_id=mars", None, 404),
        ("GET", f"{ANALYTICS}/real-time/active-persons?environment_id=hall&camera_id=x", None, 404),
    ],
)
def test_what_is_wrong_is_answered_with_a_detail(hall, method, path, body, status):
    """The frontend shows ``detail``."""
    answer = hall.http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_the_dashboard_counts_what_is_stored(hall):
    board = asked(hall, DASHBOARD, shapes.Dashboard).data
    [row] = query(hall.settings.database_url, "select count(*) from tracking_events")
    assert board.summary.total_detections == row[0] == 1800  # 90 person-seconds in two cameras
    assert board.summary.average_confidence_percent == 80.0
    assert board.summary.total_cameras == 4
    cameras = {c.camera_id: c for c in board.cameras}
    assert (cameras["h1"].detections, cameras["h1"].unique_entities) == (900, 2)
    assert (cameras["h1"].uptime_percent, cameras["h2"].uptime_percent) == (100.0, 75.0)
    assert (cameras["h3"].detections, cameras["h3"].uptime_percent) == (0, None)
    assert sum(p.detections for p in board.charts.detections_per_bucket) == 1800
    assert [u.date for u in board.charts.uptime_trend] == ["2024-05-01"]
    assert board.charts.uptime_trend[0].uptime_percent == board.summary.system_uptime_percent
    assert board.summary.uptime_delta_percent is None  # nothing is stored of the day before
    assert board.person_statistics["unique_persons"] == 2
    [zone] = board.dwell_time["zones"]
    assert (zone["zone_id"], zone["visits"]) == ("entrance", 2)
    assert board.heatmap["total_person_s"] == pytest.approx(90, abs=0.5)


def test_what_nothing_is_stored_of_is_null_and_said(hall):
    board = asked(hall, f"{ANALYTICS}/dashboard?environment_id=factory", shapes.Dashboard).data
    assert board.summary.total_detections == 0
    assert board.summary.average_confidence_percent is None
    assert board.charts.detections_per_bucket == []
    assert board.notes == ["nothing is stored for this window"]


def test_real_time_figures_are_those_of_the_newest_set(idle):
    """Four walkers at nine and a half sets a second; without an environment, of all together."""
    task_id = idle.start()
    idle.worker.publish(task_id, 7, with_pictures=False)
    idle.worker.report(task_id, status="PROCESSING", sets_per_s=9.5)
    update = update_of(7)
    metrics = asked(idle, f"{ANALYTICS}/real-time/metrics", shapes.RealTimeMetrics).data
    seen = sum(update.person_count_per_camera.values())
    assert (metrics.active_persons, metrics.average_confidence) == (4, 0.9)
    assert metrics.detection_rate == pytest.approx(seen * 9.5)
    assert metrics.performance_metrics["cache_hit_rate"] is None
    loads = asked(idle, f"{ANALYTICS}/real-time/camera-loads", shapes.CameraLoads).cameras
    assert loads == metrics.camera_loads
    assert {c: n for c, n in loads.items() if n} == update.person_count_per_camera
    own = asked(idle, f"{ANALYTICS}/real-time/active-persons?camera_id=h2", shapes.ActivePersons)
    assert own.data.total_count == update.person_count_per_camera["h2"]
    assert own.data.camera_id == "h2"
    for person in own.data.active_persons:
        assert person.last_seen_at == START + timedelta(seconds=0.7)
        assert person.first_detected_at == START  # seven tenths of a second on its track
        assert person.track_duration == 0.7


def test_statistics_count_detections_and_name_the_parts(hall):
    data = asked(hall, f"{ANALYTICS}/system/statistics", shapes.Statistics).data
    assert data["total_processed"] == 1800
    assert data["uptime"] > 0
    assert data["database_service"] == {"database": "ok", "redis": "ok"}


def test_focus_is_set_read_marked_and_cleared(hall):
    [row] = query(hall.settings.database_url, "select task_id::text from persons limit 1")
    path = f"/api/v1/focus/{row[0]}"
    before = hall.http.get(path).json()
    assert (before["focused_person_id"], before["has_active_focus"]) == (None, False)
    ada = person_id("ada")
    body = {"global_person_id": ada, "cross_camera_sync": True,
            "highlight_settings": {"enabled": True, "intensity": 0.8}}  # fmt: skip
    after = hall.http.post(path, json=body).json()
    assert (after["focused_person_id"], after["has_active_focus"]) == (ada, True)
    put = hall.http.put(f"{path}/highlight-settings", json={"border_color": [255, 215, 0]})
    marked = put.json()["focus_state"]["highlight_settings"]
    assert (marked["intensity"], marked["border_color"]) == (0.8, [255, 215, 0])
    assert hall.http.get(path).json()["focus_state"]["highlight_settings"] == marked
    assert hall.http.get(f"/api/v1/tracking/focus/{row[0]}").json()["focused_person_id"] == ada
    assert hall.http.delete(path).json()["has_active_focus"] is False


def test_a_person_is_told_from_what_is_stored(hall):
    ada = asked(hall, f"/api/v1/persons/{person_id('ada')}/details", shapes.PersonPanel)
    assert (ada.first_detected, ada.tracking_duration) == (START, 59.9)
    assert (ada.cameras_seen, ada.current_camera) == (["h1", "h2"], None)
    assert (ada.total_detections, ada.average_confidence) == (1200, 0.8)
    assert ada.position_history[0].map_coords == pytest.approx((1.0, 2.0), abs=0.5)
    assert hall.http.get("/api/v1/persons/nobody/details").status_code == 404


def test_permissions_are_told_without_a_token(hall):
    assert hall.http.get("/api/v1/auth/permissions/test").json()["role"] == "operator"


def test_the_development_server_may_read_the_answers(hall):
    """CORS for the origin that the frontend is served from; MJPEG and JSON alike."""
    origin = {"Origin": "http://localhost:5173"}
    preflight = {"Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "content-type"}  # fmt: skip
    allowed = "access-control-allow-origin"
    asking = hall.http.options(f"{TASKS}/start", headers=origin | preflight)
    assert asking.headers[allowed] == origin["Origin"]
    for path in (TASKS, f"{ANALYTICS}/real-time/metrics"):
        answer = hall.http.get(path, headers=origin)
        assert answer.status_code == 200
        assert answer.headers.get_list(allowed) == [origin["Origin"]]


def test_who_logs_in_gets_the_products_own_answers(tmp_path):
    """A token, or a filter of the product's, is not the frontend's; window_hours always is."""
    with running_secured(tmp_path, anonymous=True) as app:
        header = user_of(app, "vera")
        where = {"environment_id": "hall"}
        live = app.http.get(f"{ANALYTICS}/real-time/metrics", headers=header, params=where).json()
        assert "newest_media_time" in live
        board = f"{ANALYTICS}/dashboard"
        assert "coverage" in app.http.get(board, headers=header, params=where).json()
        since = where | {"start_time": datetime(2024, 5, 1, tzinfo=UTC).isoformat()}
        assert "coverage" in app.http.get(board, params=since).json()
        window = app.http.get(board, headers=header, params=where | {"window_hours": 1}).json()
        assert window["status"] == "success"


def test_the_dialect_asks_for_roles_too(tmp_path):
    """A viewer neither starts nor stops, and sees nothing of other environments."""
    with running_secured(tmp_path) as app:
        assert app.http.get(TASKS).status_code == 401
        viewer = user_of(app, "vic")
        elsewhere = user_of(app, "ned", environments=["campus"])
        body = {"environment_id": "hall"}
        assert app.http.post(f"{TASKS}/start", json=body, headers=viewer).status_code == 403
        cleanup = f"{TASKS}/environment/hall/cleanup"
        assert app.http.delete(cleanup, headers=viewer).status_code == 403
        listed = app.http.get(f"{TASKS}/environments", headers=elsewhere).json()["environments"]
        assert [e["environment_id"] for e in listed] == ["campus"]
        board = f"{ANALYTICS}/dashboard?environment_id=hall&window_hours=1"
        assert app.http.get(board, headers=elsewhere).status_code == 404
