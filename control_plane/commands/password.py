"""``spoton password``: a new password for whoever has forgotten theirs."""

import argparse
import asyncio
import getpass
import sys

from redis.asyncio import Redis

from control_plane.access.accounts import find_by_name, set_password
from control_plane.access.logins import Logins
from control_plane.access.passwords import Passwords
from control_plane.access.spare_redis import SpareRedis
from control_plane.audit import record_command
from control_plane.embedded import running_services
from control_plane.settings import Settings
from control_plane.store import Store
from plugins.errors import InvalidInputError

LEAST, MOST = 10, 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose."""
    parser.add_argument("name", metavar="NAME", help="of the user, such as admin")
    parser.epilog = "The password is asked for, or read from standard input; all logins end."


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Asks for it and sets it."""
    password = _asked()
    if not LEAST <= len(password) <= MOST:
        raise InvalidInputError(f"a password has {LEAST} to {MOST} characters")
    with running_services(settings, needed=("database_url", "redis_url")) as complete:
        asyncio.run(set_new_password(complete, args.name.lower(), password))
    print(f"{args.name} has a new password; all logins have ended")
    return 0


def _asked() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("new password: ")
    return sys.stdin.readline().rstrip("\n")


async def set_new_password(settings: Settings, name: str, password: str) -> None:
    """UserNotFoundError when there is no such user."""
    passwords, store = Passwords(), Store(settings.database_url or "")
    redis = Redis.from_url(settings.redis_url or "")
    logins = Logins(store, SpareRedis(redis), settings)
    try:
        hashed = await passwords.hash(password)
        async with store.connection() as connection, connection.transaction():
            user = await find_by_name(connection, name)
            await set_password(connection, user.user_id, hashed)
            await logins.end_all(connection, user.user_id)
            await record_command(connection, "auth.change_password", user.user_id)
        await logins.announce(user)
    finally:
        passwords.close()
        await redis.aclose()
        await store.close()
