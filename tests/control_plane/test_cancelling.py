"""Loops end when they are cancelled, also where a time limit takes the cancellation for its own."""

import asyncio
import functools
from contextlib import suppress

from redis.exceptions import TimeoutError as RedisTimeoutError

from control_plane import cancelling
from control_plane.cancelling import end_all
from control_plane.errors import TaskNotFoundError
from control_plane.streaming.feeds import Feed
from control_plane.streaming.tickers import Ticker
from control_plane.streaming.watches import TaskWatch
from tests.waiting import PATIENCE_S


def run_async(test):
    """Runs a test in an event loop of its own."""

    @functools.wraps(test)
    def run(**fixtures):
        asyncio.run(test(**fixtures))

    return run


class SwallowingRedis:
    """Answers nothing, and turns the first cancellation into a time-out, as async_timeout may."""

    def __init__(self):
        self.is_waiting = asyncio.Event()
        self.swallowed = 0

    async def xrevrange(self, _key, **_limits):
        return []

    async def xread(self, _positions, **_limits):
        self.is_waiting.set()
        await self.swallow()

    async def swallow(self):
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self.swallowed += 1
            if self.swallowed > 1:
                raise
            raise RedisTimeoutError from None


async def no_status(task_id):
    raise TaskNotFoundError(task_id)


@run_async
async def test_a_loop_that_goes_on_after_errors_is_cancelled_until_it_ends(monkeypatch):
    """The first cancellation is lost on it."""
    monkeypatch.setattr(cancelling, "AGAIN_S", 0.01)
    redis = SwallowingRedis()

    async def loop():
        while True:
            with suppress(RedisTimeoutError):
                await redis.swallow()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await end_all([task])
    assert task.cancelled()
    assert redis.swallowed == 2


@run_async
async def test_a_feed_ends_when_it_is_stopped_while_redis_times_out():
    """Else it would read on, and keep the process that was told to end."""
    redis = SwallowingRedis()
    watch = TaskWatch("task", redis, no_status)
    feed = Feed("tracking", "task", redis, watch, stays=False)
    await redis.is_waiting.wait()
    feed.stop()
    watch.stop()
    done, _ = await asyncio.wait([feed._task], timeout=PATIENCE_S)
    assert done
    assert redis.swallowed >= 1


@run_async
async def test_a_channel_ends_when_it_is_stopped_while_redis_times_out():
    """The same of what is said once a second."""
    redis, is_asked = SwallowingRedis(), asyncio.Event()

    async def say():
        is_asked.set()
        await redis.swallow()
        return []

    ticker = Ticker(say)
    await is_asked.wait()
    ticker.stop()
    done, _ = await asyncio.wait([ticker._task], timeout=PATIENCE_S)
    assert done
    assert redis.swallowed == 1
