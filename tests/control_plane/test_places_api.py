"""Zones, cameras, sessions, retention and maintenance over REST."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from control_plane.cameras import environment_of_task
from control_plane.storage.retention import expire
from homography.environment import load_environments
from tests.control_plane.people import admin_of, error_code, running_secured, user_of
from tests.control_plane.stored_world import START, World, person_id, query, run
from tests.waiting import wait_until

ZONE = {
    "environment_id": "hall",
    "zone_id": "east-wing",
    "name": "East wing",
    "coordinates": [[10, 0], [18, 0], [18, 8], [10, 8]],
    "capacity": 0,
}
MATRIX = np.array([[0.0, -0.05, 24.0], [0.045, 0.0, -3.0], [0.0, 0.0004, 1.0]])


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    with running_secured(tmp_path_factory.mktemp("places")) as app:
        app.http.headers.update(admin_of(app))
        yield app


def pairs(count: int = 8) -> list[dict[str, Any]]:
    """Pixels of a 640x360 picture and where MATRIX puts them."""
    random = np.random.default_rng(2)
    pixels = random.uniform((0, 0), (640, 360), (count, 2))
    mapped = np.column_stack([pixels, np.ones(count)]) @ MATRIX.T
    ground = mapped[:, :2] / mapped[:, 2:]
    return [
        {"image_px": p, "ground_m": g}
        for p, g in zip(pixels.tolist(), ground.tolist(), strict=True)
    ]


def body_of(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def zones(hall: Any) -> set[str]:
    found = body_of(hall.http.get("/api/v1/zones", params={"environment_id": "hall"}))
    return {zone["zone_id"] for zone in found["zones"]}


def test_a_zone_is_made_changed_and_deleted(hall):
    """And so is one of the environment's file, which comes back when it is made again."""
    made = body_of(hall.http.post("/api/v1/zones", json=ZONE), 201)
    assert (made["zone_id"], made["area_m2"]) == ("east-wing", 64)
    assert zones(hall) == {"entrance", "east-wing"}
    assert error_code(hall.http.post("/api/v1/zones", json=ZONE), 400) == "invalid_input"
    change = {"name": "East", "coordinates": [[10, 0], [12, 0], [12, 2]], "capacity": None}
    changed = hall.http.put("/api/v1/zones/east-wing", json=change)
    assert body_of(changed)["area_m2"] == 2
    layout = body_of(hall.http.get("/api/v1/zones/east-wing/layout"))
    assert layout["bounds_m"] == [10, 0, 12, 2]
    where = {"environment_id": "hall"}
    for zone in ("east-wing", "entrance"):
        assert body_of(hall.http.delete(f"/api/v1/zones/{zone}", params=where))["zone_id"] == zone
    assert zones(hall) == set()
    again = ZONE | {"zone_id": "entrance", "coordinates": change["coordinates"]}
    body_of(hall.http.post("/api/v1/zones", json=again), 201)
    assert zones(hall) == {"entrance"}


@pytest.mark.parametrize(
    ("coordinates", "says"),
    [
        ([[10, 0], [12, 0]], "3"),
        ([[10, 0], [12, 0], [14, 0]], "line"),
        ([[10, 0], [12, 2], [12, 0], [10, 2]], "cross"),
        ([[100, 0], [120, 0], [120, 20]], "bounds"),
    ],
)
def test_polygons_that_enclose_nothing_are_refused(hall, coordinates, says):
    answer = hall.http.post(
        "/api/v1/zones", json=ZONE | {"zone_id": "odd", "coordinates": coordinates}
    )
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


def test_only_admins_change_places(hall):
    header = user_of(hall, "guard", "operator")
    for method, path, body in (
        ("POST", "/api/v1/zones", ZONE | {"zone_id": "x"}),
        ("DELETE", "/api/v1/zones/entrance?environment_id=hall", None),
        ("PUT", "/api/v1/cameras/h1/calibration", {"point_pairs": pairs()}),
        ("PUT", "/api/v1/cameras/h1/settings", {"name": "x"}),
        ("PUT", "/api/v1/environments/hall/retention", {"keep_days": 1}),
        ("POST", "/api/v1/system/maintenance", {}),
    ):
        answer = hall.http.request(method, path, json=body, headers=header)
        assert answer.status_code == 403, (path, answer.text)


def test_a_calibration_is_fitted_stored_and_used_by_later_tasks(hall):
    """A task made before it goes on with the one it began with."""
    before = hall.start()
    fitted = body_of(hall.http.put("/api/v1/cameras/h1/calibration", json={"point_pairs": pairs()}))
    assert np.array(fitted["image_to_ground"]) / fitted["image_to_ground"][2][2] == pytest.approx(
        MATRIX, abs=1e-4
    )
    assert fitted["rmse_m"] < 1e-6
    assert body_of(hall.http.get("/api/v1/cameras/h1/calibration")) == fitted
    after = hall.start()
    environment = load_environments([hall.settings.data_dir]).environments["hall"]
    url = hall.settings.database_url
    old, new = (
        run(url, lambda store, t=task: environment_of_task(store, environment, t))
        for task in (before, after)
    )
    given = environment.cameras[0].ground_plane.image_to_ground
    assert np.allclose(old.cameras[0].ground_plane.image_to_ground, given)
    assert not np.allclose(new.cameras[0].ground_plane.image_to_ground, given)


def test_pairs_on_a_line_are_refused_with_the_reason(hall):
    line = [{"image_px": [k, k], "ground_m": [k, 2 * k]} for k in range(5)]
    answer = hall.http.put("/api/v1/cameras/h2/calibration", json={"point_pairs": line})
    assert error_code(answer, 400) == "invalid_input"
    assert "line" in answer.json()["detail"]
    answer = hall.http.put("/api/v1/cameras/h2/calibration", json={"point_pairs": pairs(3)})
    assert error_code(answer, 400) == "validation_failed"


def test_an_inactive_camera_is_left_out_of_tasks_that_name_none(hall):
    changed = hall.http.put(
        "/api/v1/cameras/h4/settings", json={"is_active": False, "name": "Lift"}
    )
    assert (body_of(changed)["is_active"], changed.json()["name"]) == (False, "Lift")
    rows = query(
        hall.settings.database_url,
        "select request->'cameras' as cameras from tasks where task_id = $1",
        hall.start(),
    )
    assert rows[0]["cameras"] == '["h1", "h2", "h3"]'
    body_of(hall.http.put("/api/v1/cameras/h4/settings", json={"is_active": True}))


def test_cameras_see_zones_by_their_calibration(hall):
    body = {"name": "Near", "coordinates": [[8, 4], [14, 4], [14, 9], [8, 9]]}
    body_of(hall.http.post("/api/v1/zones", json=body | {"environment_id": "hall",
                                                         "zone_id": "near"}), 201)  # fmt: skip
    found = body_of(hall.http.get("/api/v1/zones/near/cameras"))["cameras"]
    assert {c["camera_id"] for c in found} >= {"h2", "h3", "h4"}
    assert all(0 < c["visible_share"] <= 1 for c in found)


def test_sessions_are_kept_and_listed_newest_first(hall):
    path = "/api/v1/environments/hall/sessions"
    for hour in (8, 9, 10):
        times = {"start_time": f"2024-05-01T{hour:02}:00:00Z",
                 "end_time": f"2024-05-01T{hour + 1:02}:00:00Z"}  # fmt: skip
        made = body_of(hall.http.post(path, json=times | {"name": f"from {hour}"}), 201)
        assert made["coverage"]["has_data"] is False
    first = body_of(hall.http.get(path, params={"limit": 2}))
    rest = body_of(hall.http.get(path, params={"limit": 2, "cursor": first["next_cursor"]}))
    names = [s["name"] for s in first["items"] + rest["items"]]
    assert names == ["from 10", "from 9", "from 8"]
    reversed_times = {"start_time": "2024-05-01T09:00:00Z", "end_time": "2024-05-01T08:00:00Z"}
    answer = hall.http.post(path, json=reversed_times)
    assert error_code(answer, 400) == "time_range_invalid"


def test_retention_deletes_what_is_older_and_nothing_else(hall):
    """Rows go when recording and task are both older; other environments keep theirs."""
    url = hall.settings.database_url
    ways = {"old": [(0, 1.0, 1.0), (5, 2.0, 1.0)]}
    old = World(ways, 5).store(url)
    fresh = World({"new": ways["old"]}, 5, start=datetime.now(UTC)).store(url)
    other = World(ways, 5, environment_id="campus").store(url)
    query(url, "update tasks set created_at = $1 where task_id <> $2", START, fresh)
    body_of(hall.http.put("/api/v1/environments/hall/retention", json={"keep_days": 30}))
    kept = body_of(hall.http.get("/api/v1/environments/hall/retention"))
    assert (kept["keep_days"], kept["is_default"]) == (30, False)
    done = body_of(hall.http.post("/api/v1/system/maintenance", json={"actions": ["vacuum"]}))
    assert done["actions"][0]["changed"] > 0
    for table in ("tracking_events", "trajectories", "persons", "processed_minutes"):
        rows = query(url, f"select distinct task_id::text from {table}")  # noqa: S608
        assert {row[0] for row in rows} == {fresh, other}, table
    assert query(url, "select 1 from tasks where task_id = $1", old) == []
    body_of(hall.http.put("/api/v1/environments/hall/retention", json={"keep_days": None}))


def test_a_default_retention_holds_for_every_environment(hall):
    url = hall.settings.database_url
    World({"bob": [(0, 1.0, 1.0), (3, 2.0, 1.0)]}, 3, environment_id="factory").store(url)
    later = datetime.now(UTC) + timedelta(days=20)
    assert run(url, lambda store: expire(store, None, later)) == 0
    assert run(url, lambda store: expire(store, 10, later)) > 0
    rows = query(url, "select count(*) from persons where global_id = $1", person_id("bob"))
    assert rows[0][0] == 0


def test_the_control_plane_rolls_up_on_its_own(hall):
    url = hall.settings.database_url
    World({"cy": [(0, 1.0, 1.0), (3, 2.0, 1.0)]}, 3).store(url)
    visits = "select 1 from visits where global_id = $1"
    wait_until(lambda: query(url, visits, person_id("cy")))


def test_maintenance_reports_each_action(hall):
    done = body_of(hall.http.post("/api/v1/system/maintenance", json={}))
    assert [d["action"] for d in done["actions"]] == ["cache", "gallery", "rollups", "vacuum"]
    answer = hall.http.post("/api/v1/system/maintenance", json={"actions": ["explode"]})
    assert error_code(answer, 400) == "validation_failed"
