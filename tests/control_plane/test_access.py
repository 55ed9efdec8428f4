"""Who may call what, over real HTTP and WebSockets."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from control_plane.access.callers import token_of
from control_plane.access.local_login import log_in_here, with_demo_access
from control_plane.app import create_app
from control_plane.settings import Settings
from homography.environment import load_environments
from tests.control_plane.people import (
    AUTH,
    admin_of,
    bearing,
    closing_of,
    error_code,
    log_in,
    running_secured,
    user_of,
)
from tests.control_plane.serving import Running, running_app
from tests.services import free_port

TASKS = "/api/v1/processing-tasks"
ROLES = ("anyone", "viewer", "operator", "admin")
NOBODYS_ID = "00000000-0000-4000-8000-000000000000"
START = {"environment_id": "nowhere"}
# The least role of each endpoint; bodies are such that nothing is changed.
ENDPOINTS: list[tuple[str, str, str, Any]] = [
    ("GET", "/live", "anyone", None),
    ("GET", "/ready", "anyone", None),
    ("GET", "/health", "anyone", None),
    ("GET", "/metrics", "anyone", None),
    ("GET", "/docs/openapi.json", "anyone", None),
    ("GET", "/", "anyone", None),
    ("GET", "/page/main.js", "anyone", None),
    ("GET", f"{AUTH}/me", "viewer", None),
    ("GET", f"{AUTH}/me/preferences", "viewer", None),
    ("PUT", f"{AUTH}/me/preferences", "viewer", {}),
    ("PUT", f"{AUTH}/me/password", "viewer", {}),
    ("GET", f"{AUTH}/permissions/test", "viewer", None),
    ("GET", "/api/v1/system/status", "viewer", None),
    ("GET", "/api/v1/environments", "viewer", None),
    ("GET", "/api/v1/environments/hall", "viewer", None),
    ("GET", "/api/v1/environments/hall/cameras", "viewer", None),
    ("GET", "/api/v1/environments/hall/zones", "viewer", None),
    ("GET", "/api/v1/environments/hall/date-ranges", "viewer", None),
    ("GET", TASKS, "viewer", None),
    ("GET", f"{TASKS}/active", "viewer", None),
    ("GET", f"{TASKS}/{NOBODYS_ID}/status", "viewer", None),
    ("GET", f"{TASKS}/{NOBODYS_ID}/active-persons", "viewer", None),
    ("POST", f"{TASKS}/start", "operator", START),
    ("POST", f"{TASKS}/{NOBODYS_ID}/stop", "operator", None),
    ("GET", f"{AUTH}/users", "admin", None),
    ("POST", f"{AUTH}/users", "admin", {}),
    ("PATCH", f"{AUTH}/users/{NOBODYS_ID}", "admin", {}),
    ("DELETE", f"{AUTH}/users/{NOBODYS_ID}", "admin", None),
    ("GET", "/api/v1/audit", "admin", None),
]


@pytest.fixture(scope="module")
def headers(secured: Running) -> dict[str, dict[str, str]]:
    """By role; of nobody in particular, none."""
    made = {role: user_of(secured, f"table-{role}", role) for role in ROLES[1:]}
    return {"anyone": {}} | made


@pytest.mark.parametrize(
    ("method", "path", "least", "body"), ENDPOINTS, ids=[f"{e[0]} {e[1]}" for e in ENDPOINTS]
)
def test_every_role_may_do_what_the_table_says_and_no_more(
    secured: Running,
    headers: dict[str, dict[str, str]],
    method: str,
    path: str,
    least: str,
    body: Any,
) -> None:
    """Below the least role it is 401 for nobody and 403 for somebody, whatever else is wrong."""
    for role in ROLES:
        answer = secured.http.request(method, path, json=body, headers=headers[role])
        if ROLES.index(role) >= ROLES.index(least):
            assert answer.status_code not in {401, 403, 500}, (role, answer.text)
        else:
            expected = (401, "not_authenticated") if role == "anyone" else (403, "not_allowed")
            assert error_code(answer, expected[0]) == expected[1]


def handlers() -> Iterator[tuple[str, HTTPRouteHandler]]:
    app = create_app(Settings(), load_environments([]))
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/"):
            for handler in route.route_handlers:
                if handler.http_methods != {"OPTIONS"}:
                    yield route.path, handler


# In the same order in every process, as tests that are shared out must be.
HANDLERS = sorted(handlers(), key=lambda found: (found[0], str(found[1])))


@pytest.mark.parametrize(("path", "handler"), HANDLERS, ids=str)
def test_every_handler_says_its_role_and_what_it_answers(
    path: str, handler: HTTPRouteHandler
) -> None:
    """Nothing under /api is open by oversight, or undocumented."""
    assert handler.opt.get("role") in ROLES, f"{path} says no role"
    assert handler.fn.__doc__, f"{path} has no docstring"
    assert handler.tags, f"{path} has no tag"
    documented = set(handler.responses or {})
    wanted = {429, 503} if handler.opt["role"] == "anyone" else {401, 403, 429, 503}
    assert wanted <= documented, f"{path} does not document {wanted - documented}"


def test_no_handler_of_any_resource_lets_a_lower_role_in(
    secured: Running, headers: dict[str, dict[str, str]]
) -> None:
    """Every route there is, whatever its module, with ids of nothing."""
    for path, handler in handlers():
        least = ROLES.index(handler.opt["role"])
        method = next(iter(handler.http_methods - {"OPTIONS", "HEAD"}))
        address = re.sub(r"{\w+:\w+}", NOBODYS_ID, path)
        for role in ROLES[:least]:
            answer = secured.http.request(method, address, headers=headers[role])
            expected = 401 if role == "anyone" else 403
            assert answer.status_code == expected, (method, path, role, answer.text)


def test_the_openapi_document_says_how_to_authenticate(secured: Running) -> None:
    document = secured.http.get("/docs/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    paths = document["paths"]
    assert paths[TASKS]["get"]["security"] == [{"bearer": []}]
    assert "security" not in paths["/live"]["get"]
    body = paths[f"{AUTH}/login"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["examples"][0].keys() == {"username", "password"}


def test_users_see_only_their_environments_wherever_they_look(two_places: Running) -> None:
    """What is not theirs is as if it were not there, in lists, by id, and in what they start."""
    app, http = two_places, two_places.http
    theirs = user_of(app, "janitor", "operator", environments=["hall"])
    all_seeing = admin_of(app)
    before = {path: http.get(path, headers=theirs).json() for path in (TASKS, f"{TASKS}/active")}
    ids = {
        place: http.post(
            f"{TASKS}/start", json={"environment_id": place}, headers=all_seeing
        ).json()["task_id"]
        for place in ("hall", "yard")
    }
    listed = http.get("/api/v1/environments", headers=theirs).json()["environments"]
    assert [e["environment_id"] for e in listed] == ["hall"]
    assert http.get("/api/v1/environments/yard", headers=all_seeing).status_code == 200
    for part in ("", "/cameras", "/zones", "/date-ranges"):
        answer = http.get(f"/api/v1/environments/yard{part}", headers=theirs)
        assert error_code(answer, 404) == "environment_not_found"
        assert "campus" not in answer.text
    for path, others in before.items():  # of tests that used the same control plane
        page = http.get(path, headers=theirs).json()
        assert {t["environment_id"] for t in page["items"]} == {"hall"}
        earlier = {t["task_id"] for t in others["items"]}
        assert {t["task_id"] for t in page["items"]} == earlier | {ids["hall"]}
        assert page["total"] == others["total"] + 1
    for method, part in (("GET", "status"), ("GET", "active-persons"), ("POST", "stop")):
        answer = http.request(method, f"{TASKS}/{ids['yard']}/{part}", headers=theirs)
        assert error_code(answer, 404) == "task_not_found"
        answer = http.request(method, f"{TASKS}/{ids['hall']}/{part}", headers=theirs)
        assert answer.is_success
    answer = http.post(f"{TASKS}/start", json={"environment_id": "yard"}, headers=theirs)
    assert error_code(answer, 404) == "environment_not_found"
    status = http.get("/api/v1/system/status", headers=theirs).json()
    assert status["environments"] == ["hall"]


def test_a_token_in_the_address_is_taken_for_pictures_only(secured: Running) -> None:
    """Addresses end up in logs and histories; where a header can be sent, it has to be."""
    token = admin_of(secured)["Authorization"].removeprefix("Bearer ")
    assert secured.http.get(f"{AUTH}/me?token={token}").status_code == 401
    assert secured.http.get(f"{TASKS}?token={token}").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "token"),
    [
        ("GET", "/api/v1/media/frames/t/c01", "abc"),
        ("GET", "/api/v1/stream/t/c01", "abc"),
        ("GET", "/ws/tracking/t", "abc"),
        ("POST", "/api/v1/media/frames/overlay-config", None),
        ("GET", "/api/v1/mediators", None),
        ("GET", "/api/v1/persons/p/details", None),
    ],
)
def test_the_paths_that_take_a_token_in_the_address(
    method: str, path: str, token: str | None
) -> None:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"token=abc",
        "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80),
        "scheme": "http",
        "root_path": "",
    }
    assert token_of(ASGIConnection(scope)) == token


def test_anonymous_callers_are_viewers_and_operators_and_no_more(app: Running) -> None:
    """With the setting on; a bad token is refused all the same."""
    assert app.http.get(f"{AUTH}/me").json() == {
        "user_id": None,
        "username": "anonymous",
        "role": "operator",
        "environments": None,
    }
    assert error_code(app.http.get("/api/v1/audit"), 403) == "not_allowed"
    assert error_code(app.http.get(f"{AUTH}/me", headers=bearing("nonsense")), 401)
    assert app.http.get(f"{AUTH}/me/preferences").json() == {}
    assert error_code(app.http.put(f"{AUTH}/me/preferences", json={}), 403) == "not_allowed"
    assert app.http.post(f"{AUTH}/logout").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_sites_do_nothing_in_the_name_of_the_anonymous_caller(
    app: Running, origin: str
) -> None:
    """A browser would send their requests, whatever CORS says about the answers."""
    body = {"environment_id": "hall"}
    answer = app.http.post(f"{TASKS}/start", json=body, headers={"Origin": origin})
    assert error_code(answer, 403) == "not_allowed"
    task_id = app.start()
    url = f"{app.ws_url}/ws/tracking/{task_id}"
    assert closing_of(url, additional_headers={"Origin": origin})[0] == 4403
    for own in (app.url, "http://localhost:5173"):
        assert app.http.get(f"{AUTH}/me", headers={"Origin": own}).status_code == 200


def test_spoton_up_lets_anonymous_callers_in_on_loopback_addresses_only() -> None:
    """Unless the setting says something."""
    assert with_demo_access(Settings()).anonymous is True
    assert with_demo_access(Settings(host="::1")).anonymous is True
    assert with_demo_access(Settings(host="0.0.0.0")).anonymous is False  # noqa: S104
    assert with_demo_access(Settings(anonymous=False)).anonymous is False


def test_the_operator_at_the_machine_needs_no_password(secured: Running) -> None:
    """``spoton up`` calls its own control plane as an admin, or needs no token at all."""
    token = asyncio.run(log_in_here(secured.settings))
    assert token is not None
    found = secured.http.get(f"{AUTH}/me", headers=bearing(token)).json()
    assert found["role"] == "admin"
    open_to_all = msgspec.structs.replace(secured.settings, anonymous=True)
    assert asyncio.run(log_in_here(open_to_all)) is None
    url = f"postgresql://127.0.0.1:{free_port()}/spoton"
    away = msgspec.structs.replace(secured.settings, database_url=url)
    assert asyncio.run(log_in_here(away)) is None


def until_refused(app: Running, headers: dict[str, str]) -> tuple[int, httpx.Response]:
    """How many requests are served, and the first that is not; a new minute begins at nothing."""
    for served in range(100):
        answer = app.http.get(f"{AUTH}/me", headers=headers)
        if answer.status_code == 429:
            return served, answer
        assert answer.status_code == 200, answer.text
    raise AssertionError("all were served")


def test_more_requests_than_allowed_are_429_for_that_user_alone(tmp_path: Path) -> None:
    with running_secured(tmp_path, requests_per_min=40) as app:
        greedy, modest = user_of(app, "greedy"), user_of(app, "modest")
        served, refused = until_refused(app, greedy)
        assert served > 20
        assert error_code(refused, 429) == "too_many_requests"
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert app.http.get(f"{AUTH}/me", headers=modest).status_code == 200
        assert app.http.get("/live").status_code == 200


def test_without_redis_requests_are_still_counted(tmp_path: Path) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    with running_app(tmp_path, redis_url=away, requests_per_min=20) as app:
        served, refused = until_refused(app, {})
        assert served > 0
        assert error_code(refused, 429) == "too_many_requests"


@pytest.mark.parametrize("path", ["/live", f"{AUTH}/me", "/nothing", "/page/main.js", "/docs"])
def test_every_answer_carries_the_headers_that_protect(secured: Running, path: str) -> None:
    headers = secured.http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    if path.startswith("/api/"):
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_a_preflight_needs_no_token(secured: Running) -> None:
    """Browsers send none with it."""
    asked = {
        "Origin": "http://localhost:5173",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = secured.http.options(TASKS, headers=asked)
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize("path", ["/api/v1/environments/%ff", f"{TASKS}?environment_id=%00"])
def test_bytes_that_are_no_text_are_refused_without_a_fault(secured: Running, path: str) -> None:
    answer = secured.http.get(path, headers=admin_of(secured))
    assert answer.status_code in {200, 400, 404}, answer.text


def test_what_a_role_gains_or_loses_holds_at_once(secured: Running) -> None:
    """Nobody has to log in again."""
    admin = admin_of(secured)
    headers = user_of(secured, f"u{uuid.uuid4().hex[:8]}")
    user_id = secured.http.get(f"{AUTH}/me", headers=headers).json()["user_id"]
    start = {"json": START, "headers": headers}
    assert secured.http.post(f"{TASKS}/start", **start).status_code == 403
    change = {"role": "operator", "environments": ["hall"]}
    answer = secured.http.patch(f"{AUTH}/users/{user_id}", json=change, headers=admin)
    assert answer.status_code == 200, answer.text
    assert secured.http.post(f"{TASKS}/start", **start).status_code == 404
    secured.http.patch(f"{AUTH}/users/{user_id}", json={"is_active": False}, headers=admin)
    assert secured.http.post(f"{TASKS}/start", **start).status_code == 401
    assert log_in(secured, "admin", "first admin's own")
