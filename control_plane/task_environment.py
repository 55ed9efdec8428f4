"""The environment as a task plays it, for the commands that run tasks."""

import asyncio

from control_plane.cameras import environment_of_task
from control_plane.settings import Settings
from control_plane.store import Store
from homography.environment import Environment


def task_environment(settings: Settings, environment: Environment, task_id: str) -> Environment:
    """With the calibrations that were stored before the task was made."""
    return asyncio.run(_read(settings, environment, task_id))


async def _read(settings: Settings, environment: Environment, task_id: str) -> Environment:
    store = Store(settings.database_url or "")
    try:
        return await environment_of_task(store, environment, task_id)
    finally:
        await store.close()
