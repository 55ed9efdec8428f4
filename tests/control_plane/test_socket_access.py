"""What stays open: WebSockets and streams of pictures."""

from pathlib import Path

from websockets.typing import Subprotocol

from tests.control_plane.people import (
    AUTH,
    admin_of,
    closing_of,
    error_code,
    greeting_of,
    running_secured,
    user_of,
)
from tests.control_plane.serving import Running

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


def test_a_socket_ends_with_its_token(tmp_path: Path) -> None:
    with running_secured(tmp_path, access_token_s=2) as app:
        headers = admin_of(app)
        body = {"environment_id": "hall"}
        task_id = app.http.post(f"{TASKS}/start", json=body, headers=headers).json()["task_id"]
        code, reason = closing_of(f"{app.ws_url}/ws/tracking/{task_id}", additional_headers=headers)
        assert (code, reason) == (4401, "the token has expired")
        assert error_code(app.http.get(f"{AUTH}/me", headers=headers), 401)


def test_a_stream_of_pictures_ends_with_its_token(tmp_path: Path) -> None:
    """Cleanly: a browser shows the last picture, and nothing is written into the log."""
    with running_secured(tmp_path, access_token_s=3) as app:
        headers = admin_of(app)
        token = headers["Authorization"].removeprefix("Bearer ")
        body = {"environment_id": "hall"}
        task_id = app.http.post(f"{TASKS}/start", json=body, headers=headers).json()["task_id"]
        app.worker.publish(task_id, 0)
        address = f"/api/v1/stream/{task_id}/h1?token={token}"
        with app.http.stream("GET", address) as answer:
            assert answer.status_code == 200
            content = b"".join(answer.iter_bytes())
        assert b"\xff\xd8" in content
        assert app.http.get(address).status_code == 401
