"""Buttons of a running task: they change the pace, and nothing else."""

import threading
import time

import msgspec
import pytest
import redis

from plugins.commands import CommandListener, PlaybackDesk
from plugins.frames import NS_PER_S, FrameSet
from plugins.messages import Playback, PlaybackCommand, commands_list, playback_key
from plugins.playback import Pace, run_ahead
from tests.services import redis_url
from tests.waiting import PATIENCE_S, wait_until

PERIOD_NS = NS_PER_S // 10
SETS = 60


class Task:
    """A pace that releases sets on the real clock, and what has come out."""

    def __init__(self, speed):
        self.pace, self.stop = Pace(speed), threading.Event()
        self.desk = PlaybackDesk(self.pace, 0, SETS * PERIOD_NS, self.stop)
        self.seen = []
        sets = (FrameSet(k, k * PERIOD_NS, {}, 0.0) for k in range(SETS))
        self.ahead, self.thread = run_ahead(
            lambda out: self.pace.release(sets, out), 64, "sets", self.stop
        )

    def tell(self, kind, **values):
        self.desk.obey(PlaybackCommand(kind, **values))

    def collect(self, until):
        for item in self.ahead:
            self.seen.append(item.index)
            if item.index >= until:
                return


@pytest.fixture
def task():
    made = Task(4.0)
    yield made
    made.stop.set()
    made.thread.join(PATIENCE_S)


def test_a_pause_holds_sets_back_and_play_goes_on_without_a_gap(task):
    task.collect(3)
    task.tell("pause")
    assert task.desk.describe().state == "paused"
    held = task.pace.released.index
    time.sleep(0.3)  # at this speed a dozen sets would have come
    assert task.pace.released.index <= held + 1
    task.tell("play")
    task.collect(12)
    assert task.seen == list(range(13))
    assert task.pace.dropped == 0


def test_seeking_ahead_runs_there_without_waiting_or_dropping(task):
    """Every set on the way is processed; the one that was asked for is released, then it waits."""
    task.tell("pause")
    task.tell("seek", time_ns=40 * PERIOD_NS + 5)
    wait_until(lambda: task.pace.released is not None and task.pace.released.index == 40)
    wait_until(lambda: task.desk.describe().state == "paused")
    task.collect(40)
    assert task.seen == list(range(41))
    assert task.desk.describe().position == pytest.approx(40 / SETS)


def test_seeking_back_is_not_the_workers_and_says_so(task):
    task.collect(5)
    task.tell("seek", time_ns=0)
    assert "stored" in task.desk.describe().error
    task.collect(8)
    assert task.seen == list(range(9))


def test_another_speed_counts_from_the_next_set(task):
    task.collect(2)
    task.tell("speed", speed=0.25, by="ada")
    described = task.desk.describe()
    assert (described.speed, described.last_command, described.by) == (0.25, "speed", "ada")
    task.tell("speed", speed=None)
    task.collect(SETS - 1)
    assert task.seen == list(range(SETS))


def test_commands_and_state_go_through_redis(task):
    """Garbage in the list is passed over; the last of two commands wins and all see it."""
    url = redis_url()
    client = redis.Redis.from_url(url)
    listener = CommandListener(url, "t", task.desk)

    def state():
        found = client.get(playback_key("t"))
        return msgspec.json.decode(found, type=Playback) if found else None

    client.rpush(commands_list("t"), b"garbage")
    for kind, by in (("play", "ada"), ("pause", "bob")):
        client.rpush(commands_list("t"), msgspec.json.encode(PlaybackCommand(kind, by=by)))
    wait_until(lambda: (found := state()) is not None and found.by == "bob")
    assert state().state == "paused"
    client.rpush(commands_list("t"), msgspec.json.encode(PlaybackCommand("stop")))
    wait_until(task.stop.is_set)
    listener.close()
