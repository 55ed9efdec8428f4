"""Whom each viewer of a task follows: one Redis hash a task, so that it outlives connections."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from redis.asyncio import Redis

KEPT_S = 24 * 3600
ANONYMOUS = "anonymous"


class Focus(msgspec.Struct, frozen=True):
    """One viewer's choice."""

    global_id: str
    since: datetime


def focus_key(task_id: str) -> str:
    """Redis hash: viewer -> JSON of Focus."""
    return f"spoton:task:{task_id}:focus"


def viewer_of(user_id: str | None) -> str:
    """The name a choice is kept under; all anonymous viewers share one."""
    return user_id or ANONYMOUS


async def set_focus(redis: Redis, task_id: str, viewer: str, global_id: str) -> Focus:
    """Remembers it for a day."""
    focus = Focus(global_id, datetime.now(UTC))
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(focus_key(task_id), viewer, msgspec.json.encode(focus).decode())
        pipe.expire(focus_key(task_id), KEPT_S)
        await pipe.execute()
    return focus


async def clear_focus(redis: Redis, task_id: str, viewer: str) -> None:
    """Forgets it."""
    await redis.hdel(focus_key(task_id), viewer)


async def read_focus(redis: Redis, task_id: str, viewer: str) -> Focus | None:
    """A viewer's choice, if there is one."""
    found = await redis.hget(focus_key(task_id), viewer)
    return msgspec.json.decode(found, type=Focus) if found else None


async def read_all_focus(redis: Redis, task_id: str) -> dict[str, str]:
    """Every viewer's followed person."""
    found: Any = await redis.hgetall(focus_key(task_id))
    return {
        viewer.decode(): msgspec.json.decode(text, type=Focus).global_id
        for viewer, text in found.items()
    }
