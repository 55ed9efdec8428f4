"""Merges and splits by hand: rows change hands, figures follow, and undoing gives all back."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from control_plane.storage.rollups import roll_up
from homography.environment import load_environments
from tests.control_plane.people import error_code
from tests.control_plane.serving import Running, running_app
from tests.control_plane.stored_world import START, World, person_id, query, run

PERSONS = "/api/v1/persons"
# Ana walks on as Zoe after a second in which nobody is seen; ben crosses both.
WAYS = {
    "ana": [(0, 1, 1), (20, 10, 1)],
    "zoe": [(21, 10.5, 1), (40, 19, 1)],
    "ben": [(0, 2, 8), (40, 18, 8)],
}
TABLES = {
    "tracking_events": "media_time, camera_id, frame_index, track_id, global_id::text",
    "trajectories": "frame_index, global_id::text, map_x, map_y, speed_mps, camera_ids",
    "persons": "global_id::text, first_seen, last_seen, cameras, embedding_model, embedding",
    "person_crops": "global_id::text, camera_id, frame_index",
    "visits": "kind, place_id, global_id::text, entered_at, left_at",
    "camera_minutes": "camera_id, minute, detections",
    "cell_minutes": "camera_id, minute, cell_x, cell_y, samples",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_app(tmp_path_factory.mktemp("edits")) as running:
        yield running


@pytest.fixture
def world(app: Running) -> World:
    """A task of its own for each test, with rollups, a crop and a look for everybody."""
    made = World(WAYS, 41.0, start=START + timedelta(hours=len(tasks_of(app))))
    url = database(app)
    made.store(url)
    for number, name in enumerate(WAYS):
        frame = 50 if name != "zoe" else 300
        crop = "insert into person_crops values ($1, $2, 'h1', $3, $4, 0.5, 9, 9, $5)"
        at = made.start + timedelta(seconds=frame / 10)
        query(url, crop, made.task_id, person_id(name), frame, at, bytes([1, number]))
        look = "update persons set embedding = $3, embedding_model = 'm' where task_id = $1"
        query(url, f"{look} and global_id = $2", made.task_id, person_id(name), bytes([number]))
    zones = {"hall": {z.zone_id: z.polygon_m for z in hall_zones(app)}}
    run(url, lambda store: roll_up(store, zones))
    return made


def database(app: Running) -> str:
    return str(app.settings.database_url)


def tasks_of(app: Running) -> list[Any]:
    return query(database(app), "select task_id from tasks")


def hall_zones(app: Running) -> Any:
    return load_environments([app.settings.data_dir]).environments["hall"].zones


def everything(app: Running, world: World) -> dict[str, list[tuple[Any, ...]]]:
    """All that is stored of a task, in a fixed order."""
    return {
        table: sorted(
            (
                tuple(row)
                for row in query(
                    database(app),
                    f"select {columns} from {table} where task_id = $1",  # noqa: S608  # constants
                    world.task_id,
                )
            ),
            key=repr,
        )
        for table, columns in TABLES.items()
    }


def merged(app: Running, world: World, kept: str, other: str) -> dict[str, Any]:
    body = {"global_id": other, "task_id": world.task_id}
    answer = app.http.post(f"{PERSONS}/{kept}/merge", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def visits_of(app: Running, world: World, global_id: str) -> list[Any]:
    return query(
        database(app),
        "select place_id, entered_at, left_at from visits where task_id = $1 and global_id = $2 "
        "and kind = 'camera' order by 1, 2",
        world.task_id,
        global_id,
    )


def test_merged_people_are_one_in_rows_pictures_and_figures(app: Running, world: World) -> None:
    ana, zoe = person_id("ana"), person_id("zoe")
    merged(app, world, ana, zoe)
    after = everything(app, world)
    assert not any(zoe in row for rows in after.values() for row in rows)
    person = next(row for row in after["persons"] if row[0] == ana)
    assert person[1:3] == (world.start, world.start + timedelta(seconds=39.9))
    crops = {(row[0], row[2]) for row in after["person_crops"]}
    assert {(ana, 50), (ana, 300)} <= crops
    # The second in which nobody was seen is short enough to be one stay in each camera's view.
    assert [v["left_at"] for v in visits_of(app, world, ana)] == [person[2]] * 2
    journey = app.http.get(f"{PERSONS}/{ana}/journey", params={"task_id": world.task_id}).json()
    assert journey["last_seen"].startswith((world.start + timedelta(seconds=39)).strftime("%FT%T"))


def test_undoing_a_merge_gives_every_row_back(app: Running, world: World) -> None:
    before = everything(app, world)
    edit = merged(app, world, person_id("ana"), person_id("zoe"))
    assert everything(app, world) != before
    assert app.http.post(f"{PERSONS}/edits/{edit['edit_id']}/undo").status_code == 200
    assert everything(app, world) == before
    again = app.http.post(f"{PERSONS}/edits/{edit['edit_id']}/undo")
    assert error_code(again, 409) == "edit_conflict"


def test_people_seen_at_once_merge_with_one_place_a_set_and_come_apart_again(
    app: Running, world: World
) -> None:
    """Ben was seen elsewhere at the same time: ana's own places stay, ben's are kept aside."""
    before = everything(app, world)
    ana, ben = person_id("ana"), person_id("ben")
    edit = merged(app, world, ana, ben)
    places = [row for row in everything(app, world)["trajectories"] if row[1] == ana]
    frames = [row[0] for row in places]
    assert len(frames) == len(set(frames)) == 400
    assert {row[:4] for row in places} >= {
        row[:4] for row in before["trajectories"] if row[1] == ana
    }
    app.http.post(f"{PERSONS}/edits/{edit['edit_id']}/undo")
    assert everything(app, world) == before


def test_a_split_at_a_moment_makes_somebody_new_of_what_follows(app: Running, world: World) -> None:
    before = everything(app, world)
    since = world.start + timedelta(seconds=15)
    body = {"since": since.isoformat(), "task_id": world.task_id}
    edit = app.http.post(f"{PERSONS}/{person_id('ben')}/split", json=body).json()
    people = {row[0]: row for row in everything(app, world)["persons"]}
    assert people[person_id("ben")][2] == since - timedelta(milliseconds=100)
    assert people[edit["to_id"]][1] == since
    assert people[edit["to_id"]][5] is None, "the old look is of both"
    app.http.post(f"{PERSONS}/edits/{edit['edit_id']}/undo")
    assert everything(app, world) == before


def test_a_split_by_track_gives_both_a_place_in_the_sets_they_share(
    app: Running, world: World
) -> None:
    """One camera's track was somebody else: from then on each has the place its own boxes say."""
    before = everything(app, world)
    ben = person_id("ben")
    listed = app.http.get(f"{PERSONS}/{ben}/tracks", params={"task_id": world.task_id}).json()
    track = next(t for t in listed["tracks"] if t["camera_id"] == "h2")
    body = {"tracks": [track | {"last_frame": 199}], "task_id": world.task_id}
    answer = app.http.post(f"{PERSONS}/{ben}/split", json=body)
    assert answer.status_code == 200, answer.text
    edit = answer.json()
    after = everything(app, world)
    for who, cameras, frames in ((ben, ["h1"], 400), (edit["to_id"], ["h2"], 200)):
        own = sorted(row for row in after["trajectories"] if row[1] == who)
        assert len(own) == frames
        assert own[100][5] == cameras
        old = next(r for r in before["trajectories"] if r[1] == ben and r[0] == own[100][0])
        assert own[100][2:4] == pytest.approx(old[2:4], abs=1e-4)
    assert {row[0] for row in visits_of(app, world, edit["to_id"])} == {"h2"}
    app.http.post(f"{PERSONS}/edits/{edit['edit_id']}/undo")
    assert everything(app, world) == before


def test_a_later_correction_of_the_same_people_is_undone_first(app: Running, world: World) -> None:
    before = everything(app, world)
    ana, zoe, ben = map(person_id, WAYS)
    first = merged(app, world, ana, zoe)
    second = merged(app, world, ana, ben)
    answer = app.http.post(f"{PERSONS}/edits/{first['edit_id']}/undo")
    assert error_code(answer, 409) == "edit_conflict"
    assert second["edit_id"] in answer.json()["detail"]
    for edit in (second, first):
        assert app.http.post(f"{PERSONS}/edits/{edit['edit_id']}/undo").status_code == 200
    assert everything(app, world) == before
    items = app.http.get(f"{PERSONS}/edits", params={"limit": 200}).json()["items"]
    assert {first["edit_id"], second["edit_id"]} <= {e["edit_id"] for e in items if e["undone_at"]}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("merge", {"global_id": "ana"}, 400, "invalid_input"),
        ("merge", {"global_id": str(uuid.uuid4())}, 404, "person_not_found"),
        ("merge", {"global_id": "' or true --"}, 404, "person_not_found"),
        ("split", {}, 400, "invalid_input"),
        ("split", {"tracks": [{"camera_id": "h1", "track_id": 77}]}, 400, "invalid_input"),
        ("split", {"since": "2024-01-01T00:00:00Z"}, 400, "invalid_input"),
        ("split", {"since": "2024-05-01T09:00:10"}, 400, "invalid_input"),
        ("split", {"tracks": [{"camera_id": "h1", "track_id": 10**12}]}, 400, "invalid_input"),
    ],
)
def test_corrections_that_make_no_sense_change_nothing(
    app: Running, world: World, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    before = everything(app, world)
    ana = person_id("ana")
    body = {k: ana if v == "ana" else v for k, v in body.items()} | {"task_id": world.task_id}
    assert error_code(app.http.post(f"{PERSONS}/{ana}/{path}", json=body), status) == code
    assert everything(app, world) == before


def test_people_of_a_running_task_are_left_alone(app: Running) -> None:
    """Its tracker would go on with what it knows."""
    world = World(WAYS, 41.0, start=START + timedelta(days=3))
    world.store(database(app), until=10.0, status="PROCESSING")
    ana, ben = person_id("ana"), person_id("ben")
    body = {"global_id": ben, "task_id": world.task_id}
    answer = app.http.post(f"{PERSONS}/{ana}/merge", json=body)
    assert error_code(answer, 409) == "edit_conflict"
    assert world.task_id in answer.json()["detail"]
