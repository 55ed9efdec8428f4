"""The first user of a new database."""

import secrets
import sys

from control_plane.access.accounts import add_first_admin, count_users
from control_plane.access.passwords import Passwords
from control_plane.settings import Settings
from control_plane.store import Store

NAME = "admin"


async def ensure_first_admin(store: Store, passwords: Passwords, settings: Settings) -> None:
    """Makes the user ``admin`` where there is no user at all.

    Its password is SPOTON_ADMIN_PASSWORD, or a random one that is printed on stderr, this once.
    """
    async with store.connection() as connection:
        if await count_users(connection):
            return
    password = settings.admin_password or secrets.token_urlsafe(12)
    hashed = await passwords.hash(password)
    async with store.connection() as connection, connection.transaction():
        made = await add_first_admin(connection, NAME, hashed)
    if made is not None and settings.admin_password is None:
        print(  # noqa: T201  # a person has to read it, and no log should keep it
            f"The first user is {NAME!r} with the password {password!r}; it is not shown again.",
            file=sys.stderr,
            flush=True,
        )
