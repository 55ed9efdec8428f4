"""Logging in, staying logged in, logging out: over a real server, PostgreSQL and Redis."""

import asyncio
import json
import time
import uuid
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from control_plane.access.passwords import MAX_WAITING, Passwords
from control_plane.access.tokens import (
    ALGORITHM,
    AUDIENCE,
    ISSUER,
    new_access_token,
    read_access_token,
)
from control_plane.errors import NotAuthenticatedError, TooManyRequestsError
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
from tests.control_plane.serving import Running, running_app
from tests.services import free_port, postgres_url, redis_url, start_redis

KEY = "k" * 32
USER, SESSION = str(uuid.uuid4()), str(uuid.uuid4())


def me(app: Running, token: str) -> Any:
    return app.http.get(f"{AUTH}/me", headers=bearing(token))


def refresh(app: Running, token: str) -> Any:
    return app.http.post(f"{AUTH}/refresh", json={"refresh_token": token})


def test_a_login_says_who_one_is(secured: Running) -> None:
    add_user(secured, "Berta", "operator", environments=["hall"])
    tokens = log_in(secured, "BERTA")
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    found = me(secured, tokens["access_token"]).json()
    assert found == tokens["user"]
    assert (found["username"], found["role"], found["environments"]) == (
        "berta",
        "operator",
        ["hall"],
    )
    rights = secured.http.get(
        f"{AUTH}/permissions/test", headers=bearing(tokens["access_token"])
    ).json()
    assert (rights["view"], rights["operate"], rights["administer"]) == (True, True, False)


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody", ADMIN_PASSWORD), ("admin", "")]
)
def test_a_wrong_name_and_a_wrong_password_are_the_same(
    secured: Running, name: str, password: str
) -> None:
    body = {"username": name, "password": password}
    answer = secured.http.post(f"{AUTH}/login", json=body)
    assert error_code(answer, 401) == "not_authenticated"
    assert "name or password is wrong" in answer.json()["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


def test_no_password_or_token_hash_leaves_the_database(secured: Running) -> None:
    headers = user_of(secured, "leaky")
    for path in (f"{AUTH}/me", f"{AUTH}/permissions/test"):
        assert "argon2" not in secured.http.get(path, headers=headers).text
    assert "argon2" not in secured.http.get(f"{AUTH}/users", headers=admin_of(secured)).text


def test_a_refresh_token_is_good_for_one_use_and_a_second_ends_the_login(secured: Running) -> None:
    add_user(secured, "carla")
    first, other = log_in(secured, "carla"), log_in(secured, "carla")
    second = refresh(secured, first["refresh_token"]).json()
    assert me(secured, second["access_token"]).status_code == 200
    answer = refresh(secured, first["refresh_token"])
    assert error_code(answer, 401) == "refresh_token_reused"
    for token in (first["access_token"], second["access_token"]):
        assert error_code(me(secured, token), 401) == "not_authenticated"
    assert error_code(refresh(secured, second["refresh_token"]), 401) == "not_authenticated"
    assert me(secured, other["access_token"]).status_code == 200


def test_of_many_that_refresh_with_one_token_at_once_at_most_one_gets_on(secured: Running) -> None:
    """And since the others look like thieves, the login has ended."""
    add_user(secured, "dora")
    token = log_in(secured, "dora")["refresh_token"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: refresh(secured, token), range(6)))
    gained = [a.json()["access_token"] for a in answers if a.status_code == 200]
    assert len(gained) == 1
    assert me(secured, gained[0]).status_code == 401


@pytest.mark.parametrize("token", ["", "nonsense", "é" * 20, "x" * 200])
def test_an_unknown_refresh_token_is_refused(secured: Running, token: str) -> None:
    assert error_code(refresh(secured, token), 401) == "not_authenticated"


def test_a_logout_voids_the_tokens_at_once_and_only_that_logins(secured: Running) -> None:
    add_user(secured, "emma")
    here, there = log_in(secured, "emma"), log_in(secured, "emma")
    headers = bearing(here["access_token"])
    assert secured.http.post(f"{AUTH}/logout", headers=headers).status_code == 200
    assert me(secured, here["access_token"]).status_code == 401
    assert refresh(secured, here["refresh_token"]).status_code == 401
    assert me(secured, there["access_token"]).status_code == 200
    answer = secured.http.post(
        f"{AUTH}/logout", json={"everywhere": True}, headers=bearing(there["access_token"])
    )
    assert answer.status_code == 200
    assert me(secured, there["access_token"]).status_code == 401


def test_preferences_are_kept_per_user(secured: Running) -> None:
    headers = user_of(secured, "frida")
    assert secured.http.get(f"{AUTH}/me/preferences", headers=headers).json() == {}
    wanted = {"theme": "dark", "nested": {"zoom": 1.5, "name": "Grüße"}}
    answer = secured.http.put(f"{AUTH}/me/preferences", json=wanted, headers=headers)
    assert answer.status_code == 200, answer.text
    assert secured.http.get(f"{AUTH}/me/preferences", headers=headers).json() == wanted
    other = user_of(secured, "gerda")
    assert secured.http.get(f"{AUTH}/me/preferences", headers=other).json() == {}


@pytest.mark.parametrize(
    "body", [b"[1]", b'{"a": "\xff"}', b'{"a": "\\u0000"}', b'{"a": "' + b"x" * 17_000 + b'"}']
)
def test_preferences_that_cannot_be_kept_are_400(secured: Running, body: bytes) -> None:
    headers = admin_of(secured) | {"Content-Type": "application/json"}
    answer = secured.http.put(f"{AUTH}/me/preferences", content=body, headers=headers)
    assert error_code(answer, 400)


def test_a_new_password_ends_the_other_logins(secured: Running) -> None:
    add_user(secured, "hanna")
    here, there = log_in(secured, "hanna"), log_in(secured, "hanna")
    headers = bearing(here["access_token"])
    body = {"current_password": "not it", "new_password": "another password"}
    answer = secured.http.put(f"{AUTH}/me/password", json=body, headers=headers)
    assert error_code(answer, 400) == "invalid_input"
    body["current_password"] = PASSWORD
    assert secured.http.put(f"{AUTH}/me/password", json=body, headers=headers).status_code == 200
    assert me(secured, here["access_token"]).status_code == 200
    assert me(secured, there["access_token"]).status_code == 401
    assert log_in(secured, "hanna", "another password")


def signed(key: str = KEY, algorithm: str = ALGORITHM, **changes: Any) -> str:
    """A token of ours, but for the changes; a claim changed to None is left out."""
    now_s = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": USER,
        "sid": SESSION,
        "jti": "1",
        "iat": now_s,
        "exp": now_s + 60,
    } | changes
    given = {name: value for name, value in claims.items() if value is not None}
    return str(jwt.encode(given, key, algorithm=algorithm))


def unsigned() -> str:
    """``alg: none``, as in the attacks on the first JWT libraries."""
    parts = [{"alg": "none", "typ": "JWT"}, jwt.get_unverified_claims(signed())]
    encoded = [urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts]
    return ".".join([*encoded, ""])


BAD_TOKENS = {
    "expired": signed(exp=int(time.time()) - 1),
    "another key": signed(key="x" * 32),
    "another algorithm": signed(algorithm="HS512"),
    "alg none": unsigned(),
    "another audience": signed(aud="somebody-else"),
    "no audience": signed(aud=None),
    "another issuer": signed(iss="somebody-else"),
    "no expiry": signed(exp=None),
    "no id": signed(jti=None),
    "no login": signed(sid=None),
    "a login that is none": signed(sid="../../x"),
    "no user": signed(sub=None),
    "tampered": signed()[:-4] + "AAAA",
    "too long": signed() + "x" * 5000,
    "empty": "",
    "not three parts": "a.b",
}


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_token_that_is_not_wholly_ours_is_refused(token: str) -> None:
    with pytest.raises(NotAuthenticatedError):
        read_access_token(KEY, token)


def test_a_token_of_ours_says_whose_it_is() -> None:
    claims = read_access_token(KEY, new_access_token(KEY, USER, SESSION, 60))
    assert (claims.sub, str(claims.sid)) == (USER, SESSION)
    assert 50 < claims.exp - time.time() <= 60


@given(st.one_of(st.text(max_size=300), st.lists(st.text(max_size=40), min_size=3, max_size=3)))
def test_whatever_comes_as_a_token_is_refused_and_breaks_nothing(text: str | list[str]) -> None:
    token = text if isinstance(text, str) else ".".join(text)
    with pytest.raises(NotAuthenticatedError):
        read_access_token(KEY, token)


@pytest.mark.parametrize("name", ["alg none", "expired", "tampered", "too long", "not three parts"])
def test_bad_tokens_are_401_over_http(secured: Running, name: str) -> None:
    assert error_code(me(secured, BAD_TOKENS[name]), 401) == "not_authenticated"


def test_a_token_of_a_login_that_never_was_is_refused(tmp_path: Path) -> None:
    """Even when it is signed with the right key."""
    with running_secured(tmp_path, signing_key=KEY) as app:
        token = new_access_token(KEY, USER, SESSION, 60)
        assert error_code(me(app, token), 401) == "not_authenticated"


def test_basic_authentication_is_answered_with_what_to_do(secured: Running) -> None:
    answer = secured.http.get(f"{AUTH}/me", auth=("admin", ADMIN_PASSWORD))
    assert error_code(answer, 401) == "not_authenticated"
    assert "/api/v1/auth/login" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b'{"username": "\xff\xfe"}', b'{"username": 1}', b"\x00", b"[" * 50_000],
)
def test_a_login_that_cannot_be_read_is_400(secured: Running, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = secured.http.post(f"{AUTH}/login", content=body, headers=headers)
    assert error_code(answer, 400)


def test_replicas_agree_on_tokens_and_on_who_has_logged_out(tmp_path: Path) -> None:
    """Two processes' worth of control planes over one database and one Redis."""
    shared = {"database_url": postgres_url(), "redis_url": redis_url()}
    with running_secured(tmp_path, **shared) as one, running_secured(tmp_path, **shared) as two:
        token = log_in(one, "admin", ADMIN_PASSWORD)["access_token"]
        assert me(two, token).status_code == 200
        one.http.post(f"{AUTH}/logout", headers=bearing(token))
        assert me(two, token).status_code == 401


def test_without_redis_logins_work_and_a_logout_holds(tmp_path: Path) -> None:
    """PostgreSQL is asked instead; a Redis that comes back empty revives nobody."""
    port = free_port()
    with running_secured(tmp_path, redis_url=f"redis://127.0.0.1:{port}/0") as app:
        first, second = (log_in(app, "admin", ADMIN_PASSWORD)["access_token"] for _ in range(2))
        assert me(app, first).status_code == 200
        assert app.http.post(f"{AUTH}/logout", headers=bearing(first)).status_code == 200
        assert me(app, first).status_code == 401
        process = start_redis(port)
        time.sleep(1.1)  # Redis is asked again after a second
        assert me(app, first).status_code == 401
        assert me(app, second).status_code == 200
        app.http.post(f"{AUTH}/logout", headers=bearing(second))
        process.kill()
        process.wait()
        assert me(app, second).status_code == 401


def test_without_postgresql_a_known_login_goes_on_and_others_are_told_to_wait(
    tmp_path: Path,
) -> None:
    away = f"postgresql://127.0.0.1:{free_port()}/spoton"
    with running_secured(tmp_path, database_url=away, signing_key=KEY) as app:
        body = {"username": "admin", "password": ADMIN_PASSWORD}
        answer = app.http.post(f"{AUTH}/login", json=body)
        assert error_code(answer, 503) == "database_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        token = new_access_token(KEY, USER, SESSION, 60)
        assert error_code(me(app, token), 503) == "database_unavailable"
        known = {"user_id": USER, "name": "ina", "role": "viewer", "environments": None}
        app.worker.redis.set(f"spoton:login:{SESSION}", json.dumps(known))
        assert me(app, token).json()["username"] == "ina"
        answer = app.http.post(f"{AUTH}/logout", headers=bearing(token))
        assert error_code(answer, 503) == "database_unavailable"


def test_the_first_admins_password_is_printed_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = postgres_url()
    values: dict[str, Any] = {"anonymous": False, "database_url": url}
    with running_app(tmp_path, **values) as app:
        printed = capfd.readouterr().err
        password = printed.partition("with the password '")[2].partition("'")[0]
        assert log_in(app, "admin", password)
    with running_app(tmp_path, **values):
        assert "password" not in capfd.readouterr().err


def test_attempts_to_log_in_are_limited_and_the_rest_goes_on(tmp_path: Path) -> None:
    with running_secured(tmp_path, logins_per_min=5) as app:
        token = log_in(app, "admin", ADMIN_PASSWORD)["access_token"]
        body = {"username": "admin", "password": "guess"}
        answers = [app.http.post(f"{AUTH}/login", json=body) for _ in range(12)]
        refused = [a for a in answers if a.status_code == 429]
        assert len(refused) >= 2
        assert 0 < int(refused[0].headers["retry-after"]) <= 60
        assert error_code(refused[0], 429) == "too_many_requests"
        assert me(app, token).status_code == 200


def test_a_line_for_the_password_thread_is_bounded() -> None:
    """Those beyond it are refused at once; those in it are all served."""

    async def storm() -> list[bool | BaseException]:
        passwords = Passwords()
        try:
            attempts = (passwords.verify("guess", None) for _ in range(MAX_WAITING + 8))
            return await asyncio.gather(*attempts, return_exceptions=True)
        finally:
            passwords.close()

    answers = asyncio.run(storm())
    assert answers[:MAX_WAITING] == [False] * MAX_WAITING
    assert all(isinstance(answer, TooManyRequestsError) for answer in answers[MAX_WAITING:])


def test_a_login_storm_is_turned_away_and_stalls_nobody(tmp_path: Path) -> None:
    """Whoever does not fit into the line is told to come again; nothing fails otherwise."""
    with running_secured(tmp_path) as app:
        body = {"username": "nobody", "password": "guess"}
        with ThreadPoolExecutor(60) as pool:
            storm = [pool.submit(app.http.post, f"{AUTH}/login", json=body) for _ in range(60)]
            assert app.http.get("/live").status_code == 200
            answers = [attempt.result() for attempt in storm]
        assert {a.status_code for a in answers} <= {401, 429, 503}
        assert all("Retry-After" in a.headers for a in answers if a.status_code != 401)
        assert log_in(app, "admin", ADMIN_PASSWORD)
