"""What stays open: WebSockets and streams of pictures."""

import json
from pathlib import Path

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.control_plane.people import (
    AUTH,
    add_user,
    admin_of,
    bearing,
    closing_of,
    closing_of_open,
    error_code,
    greeting_of,
    log_in,
    running_secured,
    user_of,
)
from tests.control_plane.serving import Running
from tests.services import postgres_url, redis_url
from tests.waiting import PATIENCE_S

TASKS = "/api/v1/processing-tasks"


def test_sockets_take_the_token_as_browsers_can_send_it(two_places: Running) -> None:
    headers = admin_of(two_places)
    token = headers["Authorization"].removeprefix("Bearer ")
    body = {"environment_id": "hall"}
    task_id = two_places.http.post(f"{TASKS}/start", json=body, headers=headers).json()["task_id"]
    url = f"{two_places.ws_url}/ws/tracking/{task_id}"
    offered = [Subprotocol("bearer"), Subprotocol(token)]
    assert greeting_of(url, subprotocols=offered) == ("connection_established", "bearer")
    assert greeting_of(f"{url}?token={token}") == ("connection_established", None)
    assert greeting_of(url, additional_headers=headers) == ("connection_established", None)


def test_sockets_that_are_refused_learn_why(two_places: Running) -> None:
    """By close codes, which browsers show only after an accepted handshake."""
    headers = admin_of(two_places)
    body = {"environment_id": "yard"}
    task_id = two_places.http.post(f"{TASKS}/start", json=body, headers=headers).json()["task_id"]
    url = f"{two_places.ws_url}/ws/tracking/{task_id}"
    assert closing_of(url)[0] == 4401
    assert closing_of(f"{url}?token=nonsense") == (4401, "not_authenticated")
    bad = [Subprotocol("bearer"), Subprotocol("nonsense")]
    assert closing_of(url, subprotocols=bad)[0] == 4401
    stranger = user_of(two_places, "stranger", environments=["hall"])
    assert closing_of(url, additional_headers=stranger)[0] in {4403, 4404}


@pytest.mark.parametrize("kind", ["tracking", "frames", "focus"])
def test_a_socket_ends_with_its_token(tmp_path: Path, kind: str) -> None:
    """In the middle of what it is sent."""
    with running_secured(tmp_path, access_token_s=2) as app:
        task_id = start_soon(app)
        app.worker.publish(task_id, 0)
        url = f"{app.ws_url}/ws/{kind}/{task_id}"
        reasons: list[str] = []
        while not reasons or reasons[-1] == "not_authenticated":  # over before it was shown
            headers = admin_of(app)
            code, reason = closing_of(url, additional_headers=headers)
            assert code == 4401
            reasons.append(reason)
        assert reasons[-1] == "the token has expired"
        assert error_code(app.http.get(f"{AUTH}/me", headers=headers), 401)


def start_soon(app: Running) -> str:
    """A new task's id; the token may be over before it was shown."""
    body = {"environment_id": "hall"}
    while (answer := app.http.post(f"{TASKS}/start", json=body, headers=admin_of(app))).is_error:
        assert error_code(answer, 401)
    return str(answer.json()["task_id"])


def test_a_stream_of_pictures_ends_with_its_token(tmp_path: Path) -> None:
    """Cleanly: a browser shows the last picture, and nothing is written into the log."""
    with running_secured(tmp_path, access_token_s=3) as app:
        task_id, content = start_soon(app), b""
        app.worker.publish(task_id, 0)
        while not content:  # over before it was shown
            token = admin_of(app)["Authorization"].removeprefix("Bearer ")
            address = f"/api/v1/stream/{task_id}/h1?token={token}"
            with app.http.stream("GET", address) as answer:
                content = b"".join(answer.iter_bytes()) if answer.status_code == 200 else b""
        assert b"\xff\xd8" in content
        assert app.http.get(address).status_code == 401


def test_what_is_open_ends_with_its_login_also_on_another_replica(tmp_path: Path) -> None:
    """Long before the token does; another login of the same user stays open."""
    services = {"database_url": postgres_url(), "redis_url": redis_url()}
    with (
        running_secured(tmp_path, **services) as one,
        running_secured(tmp_path, **services) as other,
    ):
        gone, staying = admin_of(one), admin_of(one)
        body = {"environment_id": "hall"}
        task_id = one.http.post(f"{TASKS}/start", json=body, headers=gone).json()["task_id"]
        one.worker.publish(task_id, 0)
        url = f"{one.ws_url}/ws/tracking/{task_id}"
        stream = one.http.stream("GET", f"/api/v1/stream/{task_id}/h1", headers=gone)
        with (
            connect(url, open_timeout=PATIENCE_S, additional_headers=gone) as ended,
            connect(url, open_timeout=PATIENCE_S, additional_headers=staying) as kept,
            stream as pictures,
        ):
            assert json.loads(ended.recv(timeout=PATIENCE_S))["type"] == "connection_established"
            assert json.loads(kept.recv(timeout=PATIENCE_S))["type"] == "connection_established"
            assert other.http.post(f"{AUTH}/logout", headers=gone).status_code == 200
            assert closing_of_open(ended) == (4401, "this login has ended")
            assert b"\xff\xd8" in b"".join(pictures.iter_bytes())
            kept.send('{"type": "ping"}')
            while json.loads(kept.recv(timeout=PATIENCE_S))["type"] != "pong":
                pass


def test_what_is_open_ends_when_its_user_may_do_less(two_places: Running) -> None:
    """The client may connect again, and is then what it has become."""
    headers = admin_of(two_places)
    user_id = add_user(two_places, "lowered", "operator")
    own = bearing(log_in(two_places, "lowered")["access_token"])
    with connect(
        f"{two_places.ws_url}/ws/system", open_timeout=PATIENCE_S, additional_headers=own
    ) as client:
        assert json.loads(client.recv(timeout=PATIENCE_S))["type"] == "connection_established"
        change = {"environments": ["hall"]}
        answer = two_places.http.patch(f"{AUTH}/users/{user_id}", json=change, headers=headers)
        assert answer.status_code == 200, answer.text
        assert closing_of_open(client)[0] == 1013
    assert two_places.http.get(f"{AUTH}/me", headers=own).json()["environments"] == ["hall"]
