"""Users of a control plane under test, logged in."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.control_plane.serving import Running, running_app
from tests.waiting import PATIENCE_S

ADMIN_PASSWORD = "first admin's own"  # noqa: S105  # of the tests' own users
PASSWORD = "correct horse battery"  # noqa: S105  # idem
AUTH = "/api/v1/auth"


@contextmanager
def running_secured(folder: Path, **overrides: Any) -> Iterator[Running]:
    """A control plane that serves nobody without a token; its first user is ``admin``."""
    settings = {"anonymous": False, "admin_password": ADMIN_PASSWORD, "logins_per_min": 0}
    with running_app(folder, **settings | overrides) as app:
        yield app


def log_in(app: Running, name: str, password: str = PASSWORD) -> dict[str, Any]:
    """The tokens."""
    answer = app.http.post(f"{AUTH}/login", json={"username": name, "password": password})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def bearing(token: str) -> dict[str, str]:
    """The header that carries it."""
    return {"Authorization": f"Bearer {token}"}


def admin_of(app: Running) -> dict[str, str]:
    """The first admin's header."""
    return bearing(log_in(app, "admin", ADMIN_PASSWORD)["access_token"])


def add_user(app: Running, name: str, role: str = "viewer", **more: Any) -> str:
    """The new user's id."""
    body = {"username": name, "password": PASSWORD, "role": role} | more
    answer = app.http.post(f"{AUTH}/users", json=body, headers=admin_of(app))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["user_id"])


def user_of(app: Running, name: str, role: str = "viewer", **more: Any) -> dict[str, str]:
    """The header of a new user."""
    add_user(app, name, role, **more)
    return bearing(log_in(app, name)["access_token"])


def error_code(answer: httpx.Response, status: int) -> str:
    """The error's code, after checking the status and the one shape all errors have."""
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert set(body) == {"success", "error", "detail", "request_id", "timestamp"}
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["error"]["message"]
    return str(body["error"]["code"])


def closing_of(url: str, **options: Any) -> tuple[int, str]:
    """The code and reason with which the server closes a WebSocket."""
    with connect(url, open_timeout=PATIENCE_S, **options) as client:
        return closing_of_open(client)


def closing_of_open(client: ClientConnection) -> tuple[int, str]:
    """The same of one that is open."""
    with suppress(ConnectionClosed):
        while True:
            client.recv(timeout=PATIENCE_S)
    return client.protocol.close_code or 0, client.protocol.close_reason or ""


def greeting_of(url: str, **options: Any) -> tuple[str, str | None]:
    """The first message's type, and the subprotocol agreed on."""
    with connect(url, open_timeout=PATIENCE_S, **options) as client:
        return json.loads(client.recv(timeout=PATIENCE_S))["type"], client.subprotocol
