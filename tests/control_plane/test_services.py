"""What all requests of a control plane share."""

import asyncio

from control_plane.services import connect_redis
from control_plane.settings import Settings
from tests.control_plane.test_cancelling import run_async
from tests.services import redis_url


@run_async
async def test_many_requests_at_one_moment_all_get_a_connection_to_redis():
    client = connect_redis(Settings(redis_url=redis_url()), socket_timeout=5.0)
    try:
        answers = await asyncio.gather(*(client.echo(str(k)) for k in range(300)))
    finally:
        await client.aclose()
    assert answers == [str(k).encode() for k in range(300)]
