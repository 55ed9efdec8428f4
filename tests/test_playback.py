"""Pacing, and the queues between stages."""

import threading

import numpy as np
import pytest

from plugins.frames import NS_PER_S, FrameSet
from plugins.playback import Ahead, Pace, run_ahead
from tests.waiting import PATIENCE_S

PERIOD_NS = NS_PER_S // 10


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


class Taker:
    """The stage behind: notes when each set comes, and refuses while it is busy."""

    is_closed = False

    def __init__(self, clock, busy_s=0.0):
        self.clock, self.busy_s, self.taken, self.free_at = clock, busy_s, [], 0.0

    def put(self, frame_set):
        self.taken.append((frame_set.index, self.clock.now))
        return True

    def put_now(self, frame_set):
        if self.clock.now < self.free_at:
            return False
        self.free_at = self.clock.now + self.busy_s
        return self.put(frame_set)


def sets(count):
    return (FrameSet(k, k * PERIOD_NS, {}, 0.0) for k in range(count))


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
def test_sets_are_released_at_their_media_time(speed):
    """Ten sets a second of media time come out ten times ``speed`` a second."""
    clock = FakeClock()
    taker = Taker(clock)
    pace = Pace(speed, clock, clock.wait)
    pace.release(sets(20), taker)
    times = np.array([time for _, time in taker.taken])
    np.testing.assert_allclose(np.diff(times), 0.1 / speed, atol=1e-9)
    assert pace.dropped == 0


def test_a_busy_stage_loses_whole_sets_and_they_are_counted():
    """A stage that needs 250 ms a set takes every third of ten a second, and never an old one."""
    clock = FakeClock()
    taker = Taker(clock, busy_s=0.25)
    pace = Pace(1.0, clock, clock.wait)
    pace.release(sets(30), taker)
    assert [index for index, _ in taker.taken] == list(range(0, 30, 3))
    assert pace.dropped == 20
    assert all(abs(time - 100 - index / 10) < 1e-9 for index, time in taker.taken)


def test_at_full_speed_nothing_is_dropped_or_awaited():
    """Without a speed every set goes on at once."""
    clock = FakeClock()
    taker = Taker(clock, busy_s=9.0)
    pace = Pace(None, clock, clock.wait)
    pace.release(sets(50), taker)
    assert [index for index, _ in taker.taken] == list(range(50))
    assert (pace.dropped, clock.now) == (0, 100.0)


def test_a_slow_decoder_is_helped_by_dropping_late_sets():
    """A source of 8 sets a second falls behind ten a second; half a second late is late enough."""
    clock = FakeClock()
    taker = Taker(clock)

    def slow_source():
        for frame_set in sets(100):
            clock.now += 0.125
            yield frame_set

    pace = Pace(1.0, clock, clock.wait)
    pace.release(slow_source(), taker)
    assert pace.dropped > 0
    assert all(time - 100.125 - index / 10 <= 0.5 + 1e-9 for index, time in taker.taken)


def test_a_source_that_stood_still_stops_the_clock():
    """Ten seconds without a set, as from a slow object store, drop nothing afterwards."""
    clock = FakeClock()
    taker = Taker(clock)

    def stalling_source():
        for frame_set in sets(40):
            if frame_set.index == 20:
                clock.now += 10.0
            yield frame_set

    pace = Pace(1.0, clock, clock.wait)
    pace.release(stalling_source(), taker)
    assert pace.dropped == 0
    assert len(taker.taken) == 40


def test_stages_hand_items_on_in_order_and_end():
    """What one thread puts, the other gets, and the end arrives."""
    ahead, thread = run_ahead(lambda out: [out.put(k) for k in range(100)], 2, "numbers")
    assert list(ahead) == list(range(100))
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_an_error_travels_to_the_reading_side():
    """Items before it arrive first."""

    def source(out):
        out.put(1)
        raise ValueError("broken source")

    ahead, _ = run_ahead(source, 2, "broken")
    items = iter(ahead)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken source"):
        next(items)


def test_closing_releases_a_writer_that_waits_for_room():
    """A reader that goes away never leaves the writer's thread behind."""
    started = threading.Event()

    def source(out):
        started.set()
        while out.put(0):
            pass

    ahead, thread = run_ahead(source, 1, "endless")
    started.wait(PATIENCE_S)
    ahead.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_no_room_at_this_moment_is_told_at_once():
    """put_now never waits."""
    ahead = Ahead(1)
    assert ahead.put_now(1)
    assert not ahead.put_now(2)


def test_a_stop_ends_every_queue_of_a_task():
    """Readers and writers let go at once, whatever they wait for."""
    stop = threading.Event()
    waiting, first = run_ahead(lambda _: stop.wait(PATIENCE_S), 1, "silent", stop)
    full, second = run_ahead(lambda out: [out.put(k) for k in range(9)], 1, "busy", stop)
    threading.Timer(0.2, stop.set).start()
    assert list(waiting) == []
    for thread in (first, second):
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert full.is_closed
