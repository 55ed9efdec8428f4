"""Which cameras a task plays when it names none."""

from control_plane.store import Store
from homography.environment import Environment

INACTIVE = """select camera_id from camera_settings
where environment_id = $1 and is_active = false"""


async def active_cameras(store: Store, environment: Environment) -> list[str]:
    """Every camera that is not set inactive; all where every one is."""
    async with store.connection() as connection:
        rows = await connection.fetch(INACTIVE, environment.environment_id)
    inactive = {row["camera_id"] for row in rows}
    return [c.camera_id for c in environment.cameras if c.camera_id not in inactive]
