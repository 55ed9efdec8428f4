"""Thumbs up and down on matches, and what they add up to."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.control_plane.people import error_code
from tests.control_plane.serving import Running, running_app
from tests.control_plane.stored_world import START, World, person_id, query

FEEDBACK = "/api/v1/feedback/reidentification"
WAYS = {"ana": [(0, 1, 1), (9, 9, 9)], "ben": [(0, 2, 1), (9, 9, 1)]}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two people; what the tracker weighed when it matched each."""
    with running_app(tmp_path_factory.mktemp("feedback")) as running:
        url = str(running.settings.database_url)
        world = World(WAYS, 10.0)
        world.store(url)
        decided = (
            "insert into identity_decisions (task_id, frame_index, ordinal, media_time, camera_id, "
            "track_id, verdict, global_id, cosine, metres) values ($1, $2, 0, $3, 'h1', 1, "
            "'matched', $4, $5, $6)"
        )
        for frame, (name, cosine, metres) in enumerate((("ana", 0.9, 0.5), ("ben", 0.6, 2.0))):
            at = START + timedelta(seconds=1)
            query(url, decided, world.task_id, frame, at, person_id(name), cosine, metres)
        yield running


def test_feedback_is_kept_listed_and_added_up(app: Running) -> None:
    """Beside what the tracker had weighed for the matches found right and wrong."""
    empty = app.http.get(f"{FEEDBACK}/summary", params={"environment_id": "hall"}).json()
    assert empty["share_right"] is None
    said = [("ana", "up"), ("ana", "up"), ("ben", "down")]
    for name, verdict in said:
        body = {"global_id": person_id(name), "verdict": verdict, "note": f"seen by {name}"}
        answer = app.http.post(FEEDBACK, json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["given_by"] == "anonymous"
    found = app.http.get(f"{FEEDBACK}/summary", params={"environment_id": "hall"}).json()
    assert found["right"] == {"count": 2, "mean_cosine": 0.9, "mean_metres": 0.5}
    assert found["wrong"] == {"count": 1, "mean_cosine": 0.6, "mean_metres": 2.0}
    assert found["share_right"] == pytest.approx(2 / 3, abs=1e-4)
    first = app.http.get(FEEDBACK, params={"limit": 2}).json()
    rest = app.http.get(FEEDBACK, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [f["verdict"] for f in first["items"] + rest["items"]] == ["down", "up", "up"]
    of_ben = app.http.get(FEEDBACK, params={"global_id": person_id("ben")}).json()["items"]
    assert [f["verdict"] for f in of_ben] == ["down"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"verdict": "maybe"}, 400, "validation_failed"),
        ({"global_id": "nobody"}, 404, "person_not_found"),
        ({"other_global_id": "x'; --"}, 404, "person_not_found"),
        ({"task_id": "\u0000"}, 404, "person_not_found"),
        ({"note": "n" * 501}, 400, "validation_failed"),
        ({"note": "nul \u0000"}, 400, "invalid_input"),
        ({"frame_index": -1}, 400, "validation_failed"),
    ],
)
def test_feedback_on_nothing_is_refused_and_not_kept(
    app: Running, change: dict[str, Any], status: int, code: str
) -> None:
    url = str(app.settings.database_url)
    before = query(url, "select count(*) from feedback")[0][0]
    body = {"global_id": person_id("ana"), "verdict": "up"} | change
    assert error_code(app.http.post(FEEDBACK, json=body), status) == code
    assert query(url, "select count(*) from feedback")[0][0] == before
