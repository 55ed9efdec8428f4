"""What a feed shows of a replay does not depend on which it hears first: its watch or Redis."""

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from types import SimpleNamespace

from redis.asyncio import Redis

from control_plane.streaming.feeds import Feed
from control_plane.streaming.outboxes import Outbox
from control_plane.streaming.watches import Glance, TaskWatch
from plugins.messages import frames_stream, replay_frames_stream
from tests.control_plane.test_cancelling import no_status, run_async
from tests.services import redis_url
from tests.waiting import PATIENCE_S


class Scene:
    """A feed of pictures with one client, over a real Redis, told by hand how the task goes."""

    def __init__(self, redis, task_id):
        self._redis, self._task_id = redis, task_id
        self._outbox = Outbox(9, 10**6)
        self._watch = TaskWatch(task_id, redis, no_status)
        self.feed = Feed("frames", task_id, redis, self._watch, stays=True)
        self.feed.add(self._outbox, from_newest=True)

    def glance(self, mode, asked_at=None):
        playback = SimpleNamespace(mode=mode, state="paused", speed=1.0, last_transition_at="t")
        view = SimpleNamespace(task_id=self._task_id, status="RUNNING", playback=playback)
        glance = Glance(view, time.monotonic() if asked_at is None else asked_at)
        glance.text = "status"  # else made of a whole view
        self.feed.notice(glance)

    async def publish(self, stream, content):
        await self._redis.xadd(stream(self._task_id), {"set": content})

    async def shown(self):
        """The next picture that the client is sent."""
        async with asyncio.timeout(PATIENCE_S):
            while isinstance(entry := await self._outbox.get(), str):
                pass
        return entry.raw

    def close(self):
        self.feed.stop()
        self._watch.stop()


@asynccontextmanager
async def watched(*published):
    """A scene with these already in its streams."""
    async with Redis.from_url(redis_url()) as redis:
        task_id = str(uuid.uuid4())
        for stream, content in published:
            await redis.xadd(stream(task_id), {"set": content})
        scene = Scene(redis, task_id)
        try:
            yield scene
        finally:
            scene.close()


@run_async
async def test_a_set_that_stands_still_is_shown_when_the_watch_is_quicker_than_redis():
    async with watched((frames_stream, b"live"), (replay_frames_stream, b"standing")) as scene:
        scene.glance("replay")  # before the feed has read anything
        assert await scene.shown() == b"standing"


@run_async
async def test_a_set_that_stands_still_is_shown_when_redis_is_quicker_than_the_watch():
    async with watched((frames_stream, b"live"), (replay_frames_stream, b"standing")) as scene:
        assert await scene.shown() == b"live"
        await scene.publish(frames_stream, b"next")  # read after what lies in both streams
        assert await scene.shown() == b"next"
        scene.glance("replay")
        assert await scene.shown() == b"standing"


@run_async
async def test_news_from_before_a_replays_first_set_do_not_end_it():
    async with watched((frames_stream, b"live")) as scene:
        assert await scene.shown() == b"live"
        asked_at = time.monotonic()
        await scene.publish(replay_frames_stream, b"replayed")
        assert await scene.shown() == b"replayed"
        scene.glance("live", asked_at)
        await scene.publish(frames_stream, b"unseen")
        await scene.publish(replay_frames_stream, b"replayed too")
        assert await scene.shown() == b"replayed too"
        scene.glance("live")  # its process has died
        assert await scene.shown() == b"unseen"


@run_async
async def test_a_set_that_stands_still_is_shown_again_when_its_replay_was_lost_sight_of():
    """While services are away, playback is not known."""
    async with watched((frames_stream, b"live"), (replay_frames_stream, b"standing")) as scene:
        scene.glance("replay")
        assert await scene.shown() == b"standing"
        scene.glance("live")
        assert await scene.shown() == b"live"
        scene.glance("replay")
        assert await scene.shown() == b"standing"
