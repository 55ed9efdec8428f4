"""How a task goes is asked once, for everybody who watches it in this process."""

import asyncio
from types import SimpleNamespace

from redis.asyncio import Redis

from control_plane.health.metrics import Metrics
from control_plane.streaming.feeds import LiveHub
from control_plane.streaming.outboxes import Closing, Outbox
from control_plane.streaming.watches import TaskWatch
from tests.control_plane.test_cancelling import no_status, run_async
from tests.services import redis_url
from tests.waiting import PATIENCE_S

TASK = "a-task"


async def broken(_task_id):
    raise RuntimeError("nobody thought of this")


def hub_over(redis, read_status):
    return LiveHub(redis, redis, read_status, Metrics())


@run_async
async def test_all_streams_of_a_task_share_one_watch_that_ends_with_the_last():
    async with Redis.from_url(redis_url()) as redis:
        hub = hub_over(redis, no_status)
        with hub.subscribed("tracking", TASK, Outbox(1, 0), stays=True) as staying:
            with (
                hub.subscribed("tracking", TASK, Outbox(1, 0)) as tracking,
                hub.subscribed("frames", TASK, Outbox(1, 0)) as frames,
                hub.subscribed("frames", "another", Outbox(1, 0)) as another,
            ):
                watch = tracking.watch
                assert staying.watch is frames.watch is watch
                assert another.watch is not watch
                assert watch.watchers == {staying, tracking, frames}
            assert watch.watchers == {staying}
            hub.show_focus(TASK, "vera", "somebody")
            assert staying.focus == {"vera": "somebody"}
        assert watch.watchers == set()
        await asyncio.wait([watch._task])
        with hub.subscribed("tracking", TASK, Outbox(1, 0)) as later:
            assert later.watch is not watch
        await hub.close()


@run_async
async def test_a_watch_that_fails_sends_all_away_and_whoever_comes_again_gets_another():
    async with Redis.from_url(redis_url()) as redis:
        hub = hub_over(redis, broken)
        first, second = Outbox(1, 0), Outbox(1, 0)
        with hub.subscribed("tracking", TASK, first) as feed:
            watch = feed.watch
            with hub.subscribed("frames", TASK, second):
                for outbox in (first, second):
                    closing = await outbox.get()
                    assert isinstance(closing, Closing)
                    assert closing.code == 1011
        with hub.subscribed("tracking", TASK, Outbox(1, 0)) as again:
            assert again is not feed
            assert again.watch is not watch
        await hub.close()


@run_async
async def test_whoever_comes_in_the_moment_of_a_failure_gets_a_feed_and_a_watch_that_go_on():
    async with Redis.from_url(redis_url()) as redis:
        hub = hub_over(redis, no_status)
        with hub.subscribed("tracking", TASK, Outbox(1, 0)) as feed:
            feed.fail()
            with hub.subscribed("tracking", TASK, Outbox(1, 0)) as again:
                assert again is not feed
                again.watch.stop()
                with hub.subscribed("frames", TASK, Outbox(1, 0)) as other:
                    assert other.watch is not again.watch
        await hub.close()


class HangingRedis:
    """Never answers."""

    async def hgetall(self, _key):
        await asyncio.Event().wait()


class Listener:
    """A watcher that notes that it was told something."""

    def __init__(self):
        self.told = asyncio.Event()

    def notice(self, _glance):
        self.told.set()


@run_async
async def test_a_status_is_told_while_redis_hangs():
    async def running(_task_id):
        return SimpleNamespace(status="RUNNING", playback=None)

    listener, watch = Listener(), TaskWatch(TASK, HangingRedis(), running)
    watch.add(listener)
    await asyncio.wait_for(listener.told.wait(), PATIENCE_S)
    watch.stop()
