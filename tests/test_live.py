"""What the worker publishes, over a real Redis."""

import msgspec
import pytest
import redis

from plugins.live import LiveLimits, LivePublisher
from plugins.messages import (
    TaskProgress,
    TrackingUpdate,
    frames_stream,
    progress_key,
    tracks_stream,
)
from tests.services import free_port, redis_url, start_redis


def update(index):
    return TrackingUpdate(index, "lab", "2024-05-01T00:00:00Z", "2024-05-01T00:00:01Z", {}, {})


def publish(publisher, index):
    publisher.publish(update(index), msgspec.json.encode(update(index)), b"set %d" % index)


@pytest.fixture
def url():
    return redis_url()


def test_streams_are_bounded_and_ids_carry_the_frame_index(url):
    """The newest sets stay; entry ids let a client resume by frame index."""
    publisher = LivePublisher(url, "task", LiveLimits(frames=4, updates=10))
    for index in range(50):
        publish(publisher, index)
    client = redis.Redis.from_url(url)
    frames = client.xrange(frames_stream("task"))
    assert [entry for entry, _ in frames] == [b"47-0", b"48-0", b"49-0", b"50-0"]
    assert frames[-1][1] == {b"set": b"set 49"}
    [(_, newest)] = client.xrevrange(tracks_stream("task"), count=1)
    assert msgspec.json.decode(newest[b"json"], type=TrackingUpdate).global_frame_index == 49
    publisher.close()


def test_a_resumed_worker_does_not_publish_a_set_twice(url):
    """Sets between the last checkpoint and the crash are there already."""
    for first, last in ((0, 30), (20, 40)):
        publisher = LivePublisher(url, "task", LiveLimits(frames=100))
        for index in range(first, last):
            publish(publisher, index)
        assert publisher.unpublished == 0
        publisher.close()
    entries = redis.Redis.from_url(url).xrange(frames_stream("task"))
    assert [fields[b"set"] for _, fields in entries] == [b"set %d" % k for k in range(40)]


def test_progress_is_told(url):
    """The newest state lies in Redis."""
    client = redis.Redis.from_url(url)
    publisher = LivePublisher(url, "task", LiveLimits())
    progress = TaskProgress(status="PROCESSING", sets=3)
    publisher.publish_progress(progress)
    assert msgspec.json.decode(client.get(progress_key("task")), type=TaskProgress) == progress
    publisher.close()


def test_publishing_goes_on_when_redis_is_back():
    """While it is away sets are counted as unpublished, and nothing waits or raises."""
    port = free_port()
    publisher = LivePublisher(f"redis://127.0.0.1:{port}/0", "task", LiveLimits())
    publish(publisher, 0)
    publish(publisher, 1)
    assert publisher.unpublished == 2
    server = start_redis(port)
    client = redis.Redis(port=port)
    index = 2
    while not client.exists(frames_stream("task")):
        publish(publisher, index)
        index += 1
    assert publisher.unpublished == index - 1
    publisher.close()
    server.terminate()
    server.wait()
