"""Analytics over REST: stored people in, figures out, and clear answers where there is nothing."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from tests.control_plane.people import admin_of, error_code, running_secured, user_of
from tests.control_plane.serving import person_at, running_app, update_of
from tests.control_plane.stored_world import START, World, person_id, query

API = "/api/v1/analytics"
# Ada walks through the entrance (x 0.5 to 6, y 0.5 to 4) and out; four stand in it for a minute.
WAYS = {
    "ada": [(0, 1.0, 2.0), (20, 11.0, 2.0), (60, 11.0, 2.0)],
    **{f"guest{k}": [(30, 2.0 + k, 1.5), (90, 2.0 + k, 1.5)] for k in range(4)},
}
VIEWS = {"h1": (-1e9, 8.0), "h2": (6.0, 1e9)}
DARK = {"h2": (0.0, 12.0)}


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    """A control plane whose hall has two minutes stored, and an admin's header."""
    with running_secured(tmp_path_factory.mktemp("analytics")) as app:
        url = app.settings.database_url
        World(WAYS, 120, views=VIEWS, dark=DARK).store(url)
        header = admin_of(app)
        body = {"actions": ["rollups"]}
        done = app.http.post("/api/v1/system/maintenance", json=body, headers=header)
        assert done.status_code == 200, done.text
        app.http.headers.update(header)
        yield app


def ask(hall, path: str, **parameters: Any) -> dict[str, Any]:
    answer = hall.http.get(f"{API}/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_zone_s_occupancy_is_what_happened(hall):
    """Ada is in the entrance for 9.75 s or so (to a quarter of a metre behind its border)."""
    found = ask(hall, "zones/entrance/occupancy", environment_id="hall", bucket_s=60)
    zone = found["zone"]
    assert found["coverage"]["share"] == pytest.approx(1.0, abs=0.01)
    assert found["staleness_s"] == 0
    assert (zone["unique_persons"], zone["entries"], zone["exits"], zone["peak"]) == (5, 5, 5, 4)
    assert [b["entries"] for b in zone["series"]] == [5, 0]
    assert zone["series"][0]["mean"] == pytest.approx((10.5 + 4 * 30) / 60, abs=0.05)
    assert zone["dwell"]["longest_s"] == pytest.approx(59.9)
    [alert] = found["alerts"]
    assert (alert["type"], alert["count"], alert["threshold"]) == ("high_occupancy", 4, 3)
    assert zone["over_capacity_s"] == pytest.approx(59.9)


def test_the_heat_map_counts_person_seconds_once(hall):
    """Whoever two cameras see counts once; one camera's map counts what it saw."""
    whole = ask(hall, "heatmap/hall")
    assert whole["total_person_s"] == pytest.approx(60 + 4 * 60 - (12 - 12), abs=1)
    west = ask(hall, "heatmap/hall", camera_id="h1", cell_m=1)
    assert west["total_person_s"] == pytest.approx(14 + 4 * 60, abs=0.5)
    assert ask(hall, "heatmap/hall", zone_id="entrance")["total_person_s"] == pytest.approx(
        10 + 4 * 60, abs=1.5
    )


def test_cameras_have_counts_confidence_and_uptime(hall):
    found = ask(hall, "detections", environment_id="hall")
    cameras = {c["camera_id"]: c for c in found["cameras"]}
    assert cameras["h1"]["detections"] == 10 * (14 + 4 * 60)
    assert cameras["h1"]["unique_persons"] == 5
    assert cameras["h1"]["mean_confidence"] == pytest.approx(0.8)
    assert cameras["h1"]["uptime_percent"] == 100
    assert cameras["h2"]["uptime_percent"] == 90
    assert cameras["h3"]["uptime_percent"] is None
    assert found["total_detections"] == sum(c["detections"] for c in cameras.values())


def test_a_journey_tells_places_distance_and_stops(hall):
    """Ten metres at half a metre a second, then a rest of forty seconds."""
    ada = person_id("ada")
    found = ask(hall, f"persons/{ada}/journey")
    assert found["motion"]["distance_m"] == pytest.approx(10, rel=0.15)
    assert found["motion"]["average_speed_mps"] == pytest.approx(0.5, abs=0.05)
    assert found["motion"]["stops"][0]["seconds"] == pytest.approx(40, abs=2)
    assert [(p["kind"], p["place_id"]) for p in found["places"]] == [
        ("camera", "h1"),
        ("zone", "entrance"),
        ("camera", "h2"),
    ]
    assert found["path_m"][0] == pytest.approx([1, 2], abs=0.1)
    assert hall.http.get(f"/api/v1/persons/{ada}/journey").json() == found
    looks = query(
        hall.settings.database_url,
        "select count(*) from audit_log where action = 'persons.read' and target = $1",
        ada,
    )
    assert looks[0][0] == 1  # a look is noted once a minute


def test_trajectory_and_behaviour(hall):
    ada = person_id("ada")
    answer = hall.http.get(f"/api/v1/persons/{ada}/trajectory").json()
    assert len(answer["positions"]) == 60
    assert answer["prediction"][0]["position_m"] == pytest.approx([11, 2], abs=0.2)
    findings = {f["kind"]: f for f in ask(hall, f"behavior/{ada}/analysis")["findings"]}
    assert findings["running"]["is_present"] is False
    assert findings["loitering"]["is_present"] is False
    assert findings["unusual_path"]["is_present"] is None


def test_people_are_found_by_time_zone_and_camera(hall):
    def found(**parameters):
        params = {"environment_id": "hall"} | parameters
        answer = hall.http.get("/api/v1/persons/search", params=params)
        assert answer.status_code == 200, answer.text
        return [item["global_id"] for item in answer.json()["items"]]

    everybody = {person_id(name) for name in WAYS}
    assert set(found()) == everybody
    assert found(camera_id="h2") == [person_id("ada")]
    assert found(end_time=(START + timedelta(seconds=20)).isoformat()) == [person_id("ada")]
    late = (START + timedelta(seconds=70)).isoformat()
    assert set(found(zone_id="entrance", start_time=late)) == everybody - {person_id("ada")}
    first = hall.http.get(
        "/api/v1/persons/search", params={"environment_id": "hall", "limit": 3}
    ).json()
    rest = found(limit=3, cursor=first["next_cursor"])
    assert {i["global_id"] for i in first["items"]} | set(rest) == everybody
    assert len(rest) == 2


def test_summary_dashboard_flow_paths_and_comparison_agree(hall):
    summary = ask(hall, "historical/hall/summary")
    board = ask(hall, "dashboard", environment_id="hall")
    tracking = ask(hall, "tracking", environment_id="hall")
    assert summary["unique_persons"] == board["unique_persons"] == tracking["unique_persons"] == 5
    assert summary["total_detections"] == board["detections"]["total_detections"]
    assert summary["busiest_zone"] == "entrance"
    assert [(a["type"], a["zone"]) for a in board["alerts"]] == [("high_occupancy", "entrance")]
    assert tracking["multi_camera_persons"] == 1
    assert ask(hall, "flow/hall")["movements"] == []
    [group] = ask(hall, "paths/hall")["groups"]
    assert (group["count"], group["example_global_id"]) == (1, person_id("ada"))
    compared = ask(hall, "compare", environment_ids=["hall", "campus"])["environments"]
    assert [c["environment_id"] for c in compared] == ["hall", "campus"]
    assert compared[0]["total_detections"] == summary["total_detections"]


@pytest.mark.parametrize(
    "path",
    ["occupancy?environment_id=campus", "heatmap/campus", "dashboard?environment_id=campus",
     "historical/campus/summary", "paths/campus", "flow/campus",
     "detections?environment_id=campus", "tracking?environment_id=campus",
     "occupancy?environment_id=hall&start_time=2031-01-01T00:00:00Z&end_time=2031-01-02T00:00:00Z"],
)  # fmt: skip
def test_where_nothing_is_stored_the_answer_says_so(hall, path):
    found = hall.http.get(f"{API}/{path}").json()
    assert found["coverage"] == {
        "has_data": False, "share": 0.0, "first": None, "last": None, "tasks": []
    }  # fmt: skip
    assert found["staleness_s"] is None


@pytest.mark.parametrize(
    ("query_string", "status", "code"),
    [
        (
            "start_time=2024-05-02T00:00:00Z&end_time=2024-05-01T00:00:00Z",
            400,
            "time_range_invalid",
        ),
        ("start_time=2024-05-01T00:00:00", 400, "time_range_invalid"),
        ("start_time=yesterday", 400, "validation_failed"),
        ("start_time=0001-01-01T00:00:00Z", 400, "time_range_invalid"),
        (
            "start_time=2000-01-01T00:00:00Z&end_time=2024-01-01T00:00:00Z",
            400,
            "time_range_invalid",
        ),
        ("bucket_s=0", 400, "validation_failed"),
        ("zone_id=mars", 404, "zone_not_found"),
        ("zone_id='%3B drop table zones", 404, "zone_not_found"),
        ("zone_id=%00", 404, "zone_not_found"),
        ("camera_id=h1&bucket_s=1e9", 400, "validation_failed"),
    ],
)
def test_filters_that_make_no_sense_are_refused(hall, query_string, status, code):
    answer = hall.http.get(f"{API}/occupancy?environment_id=hall&{query_string}")
    assert error_code(answer, status) == code


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/analytics/heatmap/mars", 404, "environment_not_found"),
        ("/api/v1/analytics/heatmap/hall?camera_id=c99", 404, "camera_not_found"),
        ("/api/v1/analytics/heatmap/hall?cell_m=0.7", 400, "invalid_input"),
        ("/api/v1/persons/nobody/journey", 404, "person_not_found"),
        (f"/api/v1/persons/{uuid.UUID(int=404)}/journey", 404, "person_not_found"),
        ("/api/v1/persons/search?environment_id=hall&cursor=AAAA", 400, "invalid_input"),
        ("/api/v1/persons/search?environment_id=hall&zone_id=%00", 404, "zone_not_found"),
        ("/api/v1/persons/%00/journey", 404, "person_not_found"),
        ("/api/v1/persons/search?environment_id=hall&limit=100000", 400, "validation_failed"),
        ("/api/v1/zones/mars/layout", 404, "zone_not_found"),
        ("/api/v1/cameras/c99/calibration", 404, "camera_not_found"),
    ],
)
def test_what_is_not_there_is_named(hall, path, status, code):
    assert error_code(hall.http.get(path), status) == code


def test_another_environment_s_people_do_not_exist_for_a_caller(hall):
    header = user_of(hall, "campus-only", environments=["campus"])
    ada = person_id("ada")
    for path in (f"/api/v1/persons/{ada}/journey", f"{API}/heatmap/hall",
                 f"{API}/behavior/{ada}/analysis", f"{API}/zones/entrance/occupancy"):  # fmt: skip
        assert hall.http.get(path, headers=header).status_code == 404
    zones = hall.http.get("/api/v1/zones", headers=header).json()["zones"]
    assert {z["environment_id"] for z in zones} <= {"campus"}


def test_real_time_figures_are_those_of_the_newest_set(hall):
    """Four walkers in four cameras; before anything plays, nobody and no media time."""
    where = {"environment_id": "hall"}
    assert ask(hall, "real-time/metrics", **where)["newest_media_time"] is None
    assert ask(hall, "real-time/active-persons", **where)["items"] == []
    task_id = hall.start()
    hall.worker.publish(task_id, 7)
    hall.worker.report(task_id, status="PROCESSING", sets_per_s=9.5)
    update = update_of(7)
    metrics = ask(hall, "real-time/metrics", **where)
    assert metrics["newest_media_time"] == update.timestamp_media_utc
    assert (metrics["active_persons"], metrics["sets_per_s"]) == (4, 9.5)
    assert metrics["persons_per_camera"] == update.person_count_per_camera
    assert metrics["detections"] == sum(update.person_count_per_camera.values())
    [zone] = metrics["zones"]
    inside = [person_at(p, 7) for p in range(4)]
    assert zone["persons"] == sum(0.5 < x < 6 and 0.5 < y < 4 for x, y in inside)
    assert len(ask(hall, "real-time/active-persons", **where)["items"]) == 4
    in_h2 = ask(hall, "real-time/active-persons", **where, camera_id="h2")["items"]
    assert len(in_h2) == update.person_count_per_camera["h2"]
    loads = ask(hall, "real-time/camera-loads", **where)["cameras"]
    assert sum(c["load_share"] for c in loads) == pytest.approx(1, abs=1e-3)
    assert all(c["is_delivering"] for c in loads)


def test_without_the_database_the_answer_is_503(tmp_path):
    """And says what to do, at once."""
    with running_app(tmp_path, database_url="postgresql://127.0.0.1:1/none") as app:
        for path in ("heatmap/hall", "occupancy?environment_id=hall",
                     f"persons/{uuid.uuid4()}/journey"):  # fmt: skip
            answer = app.http.get(f"{API}/{path}")
            assert error_code(answer, 503) == "database_unavailable"
            assert answer.headers["retry-after"]
