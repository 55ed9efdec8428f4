"""Following a person: per viewer and task, in every view, over connections and replicas."""

import json
import time
import uuid

import pytest
import redis

from control_plane.streaming.focus_state import focus_key
from plugins.wire import decode_set
from tests.control_plane.serving import running_app
from tests.control_plane.test_live import next_of, next_set, opened
from tests.waiting import PATIENCE_S, wait_until

API = "/api/v1/tracking"
PERSON = str(uuid.uuid5(uuid.NAMESPACE_DNS, "person 1"))


@pytest.fixture
def task(app):
    """A task with a few live sets."""
    task_id = app.start()
    for index in range(3):
        app.worker.publish(task_id, index)
    return task_id


def focused(payload):
    return {
        (t["global_id"], t["is_focused"]) for v in payload["cameras"].values() for t in v["tracks"]
    }


def test_the_followed_person_is_marked_in_all_views_and_nobody_else(app, task):
    assert app.http.get(f"{API}/focus/{task}").json()["is_active"] is False
    answer = app.http.post(f"{API}/focus/{task}", json={"person_id": PERSON})
    assert answer.json()["focused_person_id"] == PERSON
    with opened(app, task) as updates, opened(app, task, "frames") as pictures:
        deadline = time.monotonic() + PATIENCE_S
        index = 3
        while True:
            app.worker.publish(task, index)
            payload = next_of(updates, "tracking_update")["payload"]
            metadata = json.loads(decode_set(next_set(pictures)).metadata_json)
            if payload["focus_person_id"] and metadata["focus_person_id"]:
                break
            assert time.monotonic() < deadline
            index += 1
    for seen in (payload, metadata):
        assert seen["focus_person_id"] == PERSON
        assert all(mark == (global_id == PERSON) for global_id, mark in focused(seen))
        assert (PERSON, True) in focused(seen)
    app.http.delete(f"{API}/focus/{task}")
    assert app.http.get(f"{API}/focus/{task}").json()["focused_person_id"] is None


def test_the_channel_tells_of_changes_made_anywhere_and_survives_reconnecting(app, task):
    with opened(app, task, "focus") as client:
        client.send(json.dumps({"type": "set_focus", "person_id": PERSON}))
        update = next_of(client, "focus_update")["payload"]
        assert (update["focused_person_id"], update["is_active"]) == (PERSON, True)
        details = update["person_details"]
        assert details["global_id"] == PERSON
        assert details["current_camera"] in {"h1", "h2", "h3", "h4"}
        assert set(details["position_history"][-1]) == {"timestamp", "camera", "bbox", "map_coords"}
        assert set(details["movement_metrics"]) == {
            "average_speed",
            "max_speed",
            "total_distance",
            "dwell_time",
        }
        before = details["tracking_duration"]
        app.worker.publish(task, 40)
        while (
            next_of(client, "focus_update")["payload"]["person_details"]["tracking_duration"]
            == before
        ):
            pass
    with opened(app, task, "focus") as again:
        assert next_of(again, "focus_update")["payload"]["focused_person_id"] == PERSON
        app.http.delete(f"{API}/persons/{PERSON}/follow", params={"task_id": task})
        while next_of(again, "focus_update")["payload"]["is_active"]:
            pass


def test_strangers_and_nonsense_are_errors(app, task):
    for person in (str(uuid.uuid4()), "nobody"):
        answer = app.http.post(f"{API}/focus/{task}", json={"person_id": person})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "person_not_found")
    with opened(app, task, "focus") as client:
        for message, code in (
            ({"type": "set_focus", "person_id": str(uuid.uuid4())}, "person_not_found"),
            ({"type": "set_focus", "person_id": 7}, "invalid_message"),
            ({"type": "set_focus"}, "invalid_message"),
            ({"type": "dance"}, "unknown_message"),
        ):
            client.send(json.dumps(message))
            assert next_of(client, "error")["payload"]["code"] == code


def test_details_are_of_the_task_asked_for(app, task):
    answer = app.http.get(f"{API}/persons/{PERSON}/details", params={"task_id": task}).json()
    assert answer["task_id"] == task
    assert answer["tracking_duration"] == pytest.approx(0.2)
    assert app.http.get(f"{API}/persons/{PERSON}/details").status_code == 404  # nothing stored


def test_active_lists_who_is_seen_now(app, task):
    items = app.http.get(f"{API}/active").json()["items"]
    mine = [item["person"]["global_id"] for item in items if item["task_id"] == task]
    assert PERSON in mine
    assert len(mine) == 4


def test_two_replicas_serve_one_task_and_one_focus(app, task, tmp_path):
    """What one replica is told, the clients of the other see; both relay the same sets."""
    values = {"database_url": app.settings.database_url, "redis_url": app.settings.redis_url}
    with running_app(tmp_path, **values) as other, opened(other, task, "frames") as client:
        next_of(client, "connection_established")
        next_set(client)
        app.http.post(f"{API}/focus/{task}", json={"person_id": PERSON})
        stored = redis.Redis.from_url(app.settings.redis_url)
        assert stored.hlen(focus_key(task)) == 1
        index = 50

        def is_marked():
            nonlocal index
            index += 1
            app.worker.publish(task, index)
            metadata = json.loads(decode_set(next_set(client)).metadata_json)
            return metadata["focus_person_id"] == PERSON

        wait_until(is_marked)
        app.http.delete(f"{API}/focus/{task}")
