"""The operator at this machine: whoever starts SpotOn with ``spoton up`` needs no password."""

import ipaddress

import msgspec
from redis.asyncio import Redis

from control_plane.access.accounts import find_active_admin
from control_plane.access.first_admin import ensure_first_admin
from control_plane.access.logins import Logins
from control_plane.access.passwords import Passwords
from control_plane.access.spare_redis import SpareRedis
from control_plane.settings import Settings
from control_plane.store import Store
from plugins.errors import DatabaseUnavailableError

LASTS_S = 7 * 86_400


def with_demo_access(settings: Settings) -> Settings:
    """Lets anonymous callers in where only this machine can call and nothing else is set."""
    if settings.anonymous is not None:
        return settings
    return msgspec.structs.replace(settings, anonymous=is_loopback(settings.host))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def log_in_here(settings: Settings) -> str | None:
    """Makes the first admin if there is none; an access token of an admin for this command's own
    calls, or None where it may call without one or the database is away.
    """
    passwords = Passwords()
    store = Store(settings.database_url or "")
    try:
        await ensure_first_admin(store, passwords, settings)
        return None if settings.anonymous else await _token(store, settings)
    except DatabaseUnavailableError:
        return None  # the control plane tries again, and says so
    finally:
        passwords.close()
        await store.close()


async def _token(store: Store, settings: Settings) -> str | None:
    async with store.connection() as connection:
        admin = await find_active_admin(connection)
    if admin is None:
        return None
    lasting = msgspec.structs.replace(settings, access_token_s=LASTS_S, login_s=LASTS_S)
    redis = Redis.from_url(settings.redis_url or "")
    try:
        logins = Logins(store, SpareRedis(redis), lasting)
        return (await logins.open(admin, "spoton up")).access_token
    finally:
        await redis.aclose()
