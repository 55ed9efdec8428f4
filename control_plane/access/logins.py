"""Logins: from the password to the last refresh token that follows from it.

A login is a row in PostgreSQL and a family of refresh tokens, each good for one use; a token used
twice was stolen and ends the family. Redis only remembers for two minutes what PostgreSQL said of
a login, and every change writes it anew: a logout holds at once, and losing Redis revives nobody.
"""

import asyncio
import secrets
import uuid
from typing import Any

import msgspec
import structlog

from control_plane.access.accounts import Role, User, user_of
from control_plane.access.spare_redis import SpareRedis
from control_plane.access.tokens import hash_of, new_access_token, new_refresh_token
from control_plane.errors import NotAuthenticatedError, RefreshTokenReusedError
from control_plane.settings import Settings
from control_plane.store import Store

log = structlog.get_logger()
REMEMBERED_S = 120
ENDED = b"ended"
KEEP_ENDED = "7 days"
OPEN_LOGIN = """insert into login_sessions (session_id, user_id, address, expires_at)
  values ($1, $2, $3, now() + make_interval(secs => $4))"""
ADD_TOKEN = "insert into refresh_tokens (token_hash, session_id) values ($1, $2)"  # noqa: S105  # SQL
FORGET_OLD = f"delete from login_sessions where expires_at < now() - interval '{KEEP_ENDED}'"  # noqa: S608  # constant
IS_ALIVE = "s.ended_at is null and s.expires_at > now() and u.is_active"
FIND_TOKEN = f"""select t.used_at is not null as is_used, s.session_id, {IS_ALIVE} as is_alive, u.*
  from refresh_tokens t join login_sessions s using (session_id) join users u using (user_id)
  where t.token_hash = $1 for update of t, s"""  # noqa: S608  # constants only
USE_TOKEN = "update refresh_tokens set used_at = now() where token_hash = $1"  # noqa: S105  # SQL
PROLONG = """update login_sessions set expires_at = now() + make_interval(secs => $2)
  where session_id = $1"""
FORGET_USED = """delete from refresh_tokens
  where session_id = $1 and used_at < now() - make_interval(secs => $2)"""
FIND_LOGIN = f"""select u.* from login_sessions s join users u using (user_id)
  where s.session_id = $1 and {IS_ALIVE}"""  # noqa: S608
END_ONE = """update login_sessions set ended_at = now()
  where session_id = $1 and ended_at is null"""
END_ALL = """update login_sessions set ended_at = now()
  where user_id = $1 and ended_at is null and session_id is distinct from $2"""
LOGINS_OF = f"""select s.session_id, {IS_ALIVE} as is_alive
  from login_sessions s join users u using (user_id) where s.user_id = $1"""  # noqa: S608
SIGNING_KEY = """with made as (
    insert into signing_keys (purpose, secret) values ('access', $1)
    on conflict (purpose) do nothing returning secret)
  select secret from made union all
  select secret from signing_keys where purpose = 'access' limit 1"""


class Login(msgspec.Struct, frozen=True):
    """Whose login it is, and what this user may do at this moment."""

    user_id: str
    name: str
    role: Role
    environments: tuple[str, ...] | None


class Grant(msgspec.Struct, frozen=True):
    """What a login or a refresh gives."""

    user: User
    session_id: str
    access_token: str
    refresh_token: str


class Logins:
    """Opens, prolongs, looks up and ends logins; one per process."""

    def __init__(self, store: Store, redis: SpareRedis, settings: Settings) -> None:
        self._store, self._redis = store, redis
        self._access_s, self._login_s = settings.access_token_s, settings.login_s
        self._key = settings.signing_key
        self._reading_key = asyncio.Lock()

    async def signing_key(self) -> str:
        """The setting's, else the one in the database, made by whichever process comes first."""
        if self._key is not None:
            return self._key
        async with self._reading_key:
            if self._key is None:
                secret = secrets.token_bytes(32)
                async with self._store.connection() as connection:
                    stored = await connection.fetchval(SIGNING_KEY, secret)
                    while stored is None:  # another process was faster by a moment
                        stored = await connection.fetchval(SIGNING_KEY, secret)
                self._key = stored.hex()
            return self._key

    async def open(self, user: User, address: str) -> Grant:
        """A new login of a user."""
        key, session_id = await self.signing_key(), uuid.uuid4()
        values = (session_id, uuid.UUID(user.user_id), address, float(self._login_s))
        async with self._store.connection() as connection, connection.transaction():
            await connection.execute(FORGET_OLD)
            await connection.execute(OPEN_LOGIN, *values)
            return await self._grant(connection, key, user, session_id)

    async def refresh(self, refresh_token: str) -> Grant:
        """The next pair of tokens; the one given is used up.

        NotAuthenticatedError for one that is unknown or whose login has ended;
        RefreshTokenReusedError for one that was used before, which ends its login.
        """
        key, hashed = await self.signing_key(), hash_of(refresh_token)
        async with self._store.connection() as connection, connection.transaction():
            row = await connection.fetchrow(FIND_TOKEN, hashed)
            if row is not None and row["is_alive"] and not row["is_used"]:
                family = (row["session_id"], float(self._login_s))
                await connection.execute(USE_TOKEN, hashed)
                await connection.execute(PROLONG, *family)
                await connection.execute(FORGET_USED, *family)
                return await self._grant(connection, key, user_of(row), row["session_id"])
        if row is not None and row["is_alive"]:
            await self.end(str(row["session_id"]))
            log.warning("refresh_token_reused", user=row["name"], session=str(row["session_id"]))
            raise RefreshTokenReusedError(
                "this refresh token was used before: its login has ended, log in again",
                row["name"],
            )
        raise NotAuthenticatedError("the refresh token is not valid (any more): log in again")

    async def find(self, session_id: str) -> Login | None:
        """What holds for a login; None when it has ended."""
        key = _key_of(session_id)
        known = await self._redis.get(key)
        if known is not None:
            return None if known == ENDED else msgspec.json.decode(known, type=Login)
        async with self._store.connection() as connection:
            row = await connection.fetchrow(FIND_LOGIN, uuid.UUID(session_id))
        login = None if row is None else login_of(user_of(row))
        # nx: what a logout has written meanwhile stands.
        await self._remember(session_id, login, only_if_unknown=True)
        return login

    async def end(self, session_id: str) -> None:
        """Ends a login with all its tokens. Idempotent."""
        async with self._store.connection() as connection:
            await connection.execute(END_ONE, uuid.UUID(session_id))
        await self._remember(session_id, None)

    async def end_all(self, connection: Any, user_id: str, *, but: str | None = None) -> None:
        """Ends a user's logins, within the caller's transaction; call ``announce`` after it."""
        kept = None if but is None else uuid.UUID(but)
        await connection.execute(END_ALL, uuid.UUID(user_id), kept)

    async def announce(self, user: User) -> None:
        """Makes a change of a user hold at once in every process."""
        async with self._store.connection() as connection:
            rows = await connection.fetch(LOGINS_OF, uuid.UUID(user.user_id))
        for row in rows:
            login = login_of(user) if row["is_alive"] else None
            await self._remember(str(row["session_id"]), login)

    async def session_ids(self, connection: Any, user_id: str) -> list[str]:
        """Every login of a user."""
        rows = await connection.fetch(LOGINS_OF, uuid.UUID(user_id))
        return [str(row["session_id"]) for row in rows]

    async def forget(self, session_ids: list[str]) -> None:
        """Makes the end of logins whose rows are gone hold at once in every process."""
        for session_id in session_ids:
            await self._remember(session_id, None)

    async def _grant(self, connection: Any, key: str, user: User, session_id: uuid.UUID) -> Grant:
        refresh_token = new_refresh_token()
        await connection.execute(ADD_TOKEN, hash_of(refresh_token), session_id)
        token = new_access_token(key, user.user_id, str(session_id), self._access_s)
        return Grant(user, str(session_id), token, refresh_token)

    async def _remember(
        self, session_id: str, login: Login | None, *, only_if_unknown: bool = False
    ) -> None:
        value = ENDED if login is None else msgspec.json.encode(login)
        key = _key_of(session_id)
        await self._redis.ask(
            lambda redis: redis.set(key, value, ex=REMEMBERED_S, nx=only_if_unknown)
        )


def login_of(user: User) -> Login:
    """What is remembered of a user."""
    environments = None if user.environments is None else tuple(user.environments)
    return Login(user.user_id, user.name, user.role, environments)


def _key_of(session_id: str) -> str:
    return f"spoton:login:{session_id}"
