"""Managing users, and the audit log."""

import argparse
import asyncio
import getpass
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from control_plane.commands import password
from control_plane.commands.explain import read_person
from control_plane.errors import UserNotFoundError
from plugins.errors import InvalidInputError
from tests.control_plane.people import (
    ADMIN_PASSWORD,
    AUTH,
    PASSWORD,
    add_user,
    admin_of,
    bearing,
    error_code,
    log_in,
    running_secured,
    user_of,
)
from tests.control_plane.serving import Running
from tests.control_plane.stored_world import World, person_id, query
from tests.services import postgres_url

USERS = f"{AUTH}/users"
REFUSE = """create function refuse() returns trigger language plpgsql as $$
  begin raise exception 'refused' using errcode = 'invalid_parameter_value'; end $$"""
REFUSING = "for each row execute function refuse()"
AUDIT = "/api/v1/audit"


def entries(app: Running, **query: Any) -> list[dict[str, Any]]:
    answer = app.http.get(AUDIT, params=query, headers=admin_of(app))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_users_are_listed_by_name_page_by_page(secured: Running) -> None:
    made = {add_user(secured, f"listed-{i}") for i in range(3)}
    headers, found, cursor = admin_of(secured), [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = secured.http.get(USERS, params=params, headers=headers).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if not page["has_next"]:
            break
    assert len(found) == page["total"]
    assert made <= {user["user_id"] for user in found}
    assert [user["name"] for user in found] == sorted(user["name"] for user in found)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"username": "ADMIN"}, 409, "user_exists"),
        ({"username": "a b"}, 400, "validation_failed"),
        ({"username": "x" * 65}, 400, "validation_failed"),
        ({"password": "short"}, 400, "validation_failed"),
        ({"role": "root"}, 400, "validation_failed"),
        ({"environments": ["mars"]}, 404, "environment_not_found"),
        ({"role": "admin", "environments": ["hall"]}, 400, "invalid_input"),
        ({"colour": "red"}, 400, "validation_failed"),
    ],
)
def test_a_user_that_cannot_be_is_refused_with_the_reason(
    secured: Running, body: dict[str, Any], status: int, code: str
) -> None:
    whole = {"username": "newcomer", "password": PASSWORD} | body
    answer = secured.http.post(USERS, json=whole, headers=admin_of(secured))
    assert error_code(answer, status) == code


@pytest.mark.parametrize("user_id", ["00000000-0000-4000-8000-000000000000", "nobody", "'; --"])
def test_an_unknown_user_is_404(secured: Running, user_id: str) -> None:
    headers = admin_of(secured)
    answer = secured.http.patch(f"{USERS}/{user_id}", json={}, headers=headers)
    assert error_code(answer, 404) == "user_not_found"
    answer = secured.http.delete(f"{USERS}/{user_id}", headers=headers)
    assert error_code(answer, 404) == "user_not_found"


def test_a_deleted_user_is_logged_out_and_can_be_made_again(secured: Running) -> None:
    user_id = add_user(secured, "karl")
    tokens = log_in(secured, "karl")
    headers = bearing(tokens["access_token"])
    assert secured.http.get(f"{AUTH}/me", headers=headers).status_code == 200
    assert secured.http.delete(f"{USERS}/{user_id}", headers=admin_of(secured)).status_code == 200
    assert secured.http.get(f"{AUTH}/me", headers=headers).status_code == 401
    body = {"refresh_token": tokens["refresh_token"]}
    assert secured.http.post(f"{AUTH}/refresh", json=body).status_code == 401
    assert add_user(secured, "karl") != user_id


def test_a_new_password_from_the_admin_ends_all_logins(secured: Running) -> None:
    user_id = add_user(secured, "lena")
    headers = bearing(log_in(secured, "lena")["access_token"])
    change = {"password": "another password"}
    secured.http.patch(f"{USERS}/{user_id}", json=change, headers=admin_of(secured))
    assert secured.http.get(f"{AUTH}/me", headers=headers).status_code == 401
    assert log_in(secured, "lena", "another password")


def test_a_forgotten_password_is_set_anew_from_the_machine(
    secured: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``spoton password`` does; logins with the old one end."""
    add_user(secured, "moritz")
    headers = bearing(log_in(secured, "moritz")["access_token"])
    assert secured.http.get(f"{AUTH}/me", headers=headers).status_code == 200
    monkeypatch.setattr("sys.stdin", io.StringIO("found again after all\n"))
    assert password.run(argparse.Namespace(name="Moritz"), secured.settings) == 0
    assert secured.http.get(f"{AUTH}/me", headers=headers).status_code == 401
    assert log_in(secured, "moritz", "found again after all")
    with pytest.raises(UserNotFoundError, match="nobody-of-that-name"):
        asyncio.run(password.set_new_password(secured.settings, "nobody-of-that-name", "x" * 12))
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(InvalidInputError, match="10 to 200"):
        password.run(argparse.Namespace(name="moritz"), secured.settings)


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"is_active": False}, None])
def test_the_last_admin_stays(secured: Running, change: dict[str, Any] | None) -> None:
    headers = admin_of(secured)
    user_id = secured.http.get(f"{AUTH}/me", headers=headers).json()["user_id"]
    for user in secured.http.get(USERS, params={"limit": 200}, headers=headers).json()["items"]:
        if user["role"] == "admin" and user["user_id"] != user_id:
            secured.http.delete(f"{USERS}/{user['user_id']}", headers=headers)
    if change is None:
        answer = secured.http.delete(f"{USERS}/{user_id}", headers=headers)
    else:
        answer = secured.http.patch(f"{USERS}/{user_id}", json=change, headers=headers)
    assert error_code(answer, 409) == "last_admin"
    assert secured.http.get(USERS, headers=headers).status_code == 200


def test_two_admins_who_delete_each_other_at_once_leave_one(tmp_path: Path) -> None:
    with running_secured(tmp_path) as app:
        second_id = add_user(app, "second", "admin")
        first, second = admin_of(app), bearing(log_in(app, "second")["access_token"])
        first_id = app.http.get(f"{AUTH}/me", headers=first).json()["user_id"]
        pairs = [(first, second_id), (second, first_id)]
        with ThreadPoolExecutor(2) as pool:
            codes = list(
                pool.map(
                    lambda p: app.http.delete(f"{USERS}/{p[1]}", headers=p[0]).status_code, pairs
                )
            )
        assert codes.count(200) == 1
        assert {*codes} <= {200, 401, 409}


def test_writes_are_in_the_audit_log_with_who_from_where_and_which_request(
    secured: Running,
) -> None:
    headers = user_of(secured, "mara", "operator") | {"X-Request-ID": "asked-by-mara"}
    body = {"environment_id": "hall"}
    started = secured.http.post("/api/v1/processing-tasks/start", json=body, headers=headers).json()
    secured.http.post(f"/api/v1/processing-tasks/{started['task_id']}/stop", headers=headers)
    stop, start, login = entries(secured, user="mara")
    assert (start["action"], start["target"]) == ("tasks.start", started["task_id"])
    assert (start["role"], start["address"]) == ("operator", "127.0.0.1")
    assert start["request_id"] == "asked-by-mara"
    assert start["details"] == {"environment_id": "hall"}
    assert (stop["action"], login["action"]) == ("tasks.stop", "auth.login")


def test_a_start_or_stop_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    """Nor does one whose entry cannot be written change anything: both are one transaction."""
    with running_secured(tmp_path) as app:
        headers, url = admin_of(app), str(app.settings.database_url)
        tasks, body = "/api/v1/processing-tasks", {"environment_id": "hall"}
        task_id = app.http.post(f"{tasks}/start", json=body, headers=headers).json()["task_id"]
        before = query(url, "select * from tasks"), query(url, "select * from audit_log")
        query(url, REFUSE)
        for table in ("tasks", "audit_log"):
            query(url, f"create trigger refuse before insert or update on {table} {REFUSING}")
            for path in (f"{tasks}/start", f"{tasks}/{task_id}/stop"):
                assert error_code(app.http.post(path, json=body, headers=headers), 400)
            query(url, f"drop trigger refuse on {table}")
        assert (query(url, "select * from tasks"), query(url, "select * from audit_log")) == before


def test_commands_that_look_at_people_are_in_the_audit_log() -> None:
    """With the system's user; what finds nobody leaves no entry."""
    url = postgres_url()
    task_id = World({"ana": [(0, 1, 1), (2, 3, 3)]}, 2.0).store(url)
    asyncio.run(read_person(url, person_id("ana")[:8], None))
    with pytest.raises(InvalidInputError, match="no person"):
        asyncio.run(read_person(url, "00000000", None))
    (entry,) = query(url, "select * from audit_log")
    assert (entry["action"], entry["target"]) == ("persons.read", person_id("ana"))
    assert (entry["user_name"], entry["address"]) == (getpass.getuser(), "command line")
    assert json.loads(entry["details"]) == {"task_id": task_id, "why": "explain"}


def test_a_refused_login_and_a_stolen_token_are_in_the_audit_log(secured: Running) -> None:
    add_user(secured, "nora")
    body = {"username": "nora", "password": "guess"}
    secured.http.post(f"{AUTH}/login", json=body)
    assert entries(secured, action="auth.login_failed", target="nora")
    token = {"refresh_token": log_in(secured, "nora")["refresh_token"]}
    for _ in range(2):
        secured.http.post(f"{AUTH}/refresh", json=token)
    assert len(entries(secured, action="auth.refresh_reused", target="nora")) == 1


def test_a_look_is_recorded_once_a_minute_however_often_a_page_asks(secured: Running) -> None:
    headers = user_of(secured, "olga", "operator")
    body = {"environment_id": "hall"}
    start = secured.http.post("/api/v1/processing-tasks/start", json=body, headers=headers)
    task_id = start.json()["task_id"]
    for _ in range(5):
        secured.http.get(f"/api/v1/processing-tasks/{task_id}/active-persons", headers=headers)
    assert len(entries(secured, action="active-persons", target=task_id)) == 1


def test_the_audit_log_is_filtered_by_time_and_goes_on_at_its_cursor(secured: Running) -> None:
    user_of(secured, "paula")
    whole = entries(secured, limit=200)
    first = secured.http.get(AUDIT, params={"limit": 1}, headers=admin_of(secured)).json()
    params = {"limit": 1, "cursor": first["next_cursor"]}
    second = secured.http.get(AUDIT, params=params, headers=admin_of(secured)).json()
    assert second["items"][0]["entry_id"] == first["items"][0]["entry_id"] - 1
    middle = whole[len(whole) // 2]["at"]
    before = entries(secured, end_time=middle, limit=200)
    assert before
    assert all(entry["at"] < middle for entry in before)
    assert entries(secured, start_time="2099-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense"},
        {"limit": 0},
        {"start_time": "yesterday"},
        {"start_time": "2026-01-01T00:00:00"},
        {"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"},
    ],
)
def test_bad_filters_of_the_audit_log_are_400(secured: Running, query: dict[str, Any]) -> None:
    answer = secured.http.get(AUDIT, params=query, headers=admin_of(secured))
    assert error_code(answer, 400)


@pytest.mark.parametrize("text", ["'; drop table audit_log; --", "%", "\x00", "_"])
def test_filters_are_values_and_nothing_else(secured: Running, text: str) -> None:
    for name in ("user", "action", "target"):
        params = {name: text}
        answer = secured.http.get(AUDIT, params=params, headers=admin_of(secured))
        assert answer.status_code in {200, 400}
        assert answer.json().get("items", []) == []
    assert log_in(secured, "admin", ADMIN_PASSWORD)
