"""The same footage gives the same people, at any speed, over pauses and restarts."""

import pytest

from plugins.evaluation.made_boxes import Mistakes, with_made_boxes
from plugins.frames import FrameSet
from plugins.playback import Ahead, Pace, run_ahead
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.tracker import Tracker
from tests.evaluation.folders import crowd
from tests.scenarios.blob_scenes import make_long_world
from tests.scenarios.stored import events_of
from tests.scenarios.traces import child, kill
from tests.stack import data_folder, running_stack
from tests.triton_fixtures import require_triton

SECONDS = 5
STEP_NS = 100_000_000


@pytest.fixture(scope="module")
def footage():
    """Six people, a detector that errs."""
    return with_made_boxes(crowd(6, SECONDS, seed=4), Mistakes(seed=2))


def sets_of(footage):
    times = (footage.start_ns + k * STEP_NS for k in range(footage.frames))
    return [FrameSet(k, time_ns, {}, 0.0) for k, time_ns in enumerate(times)]


def new_tracker(footage):
    return Tracker(footage.planes, TrackingParameters(), "seed", "none")


def names(tracks_by_camera):
    return {(c, t.track_id): t.global_id for c, own in tracks_by_camera.items() for t in own}


def track(tracker, footage, sets):
    """Online and settled ids of all these sets, in order."""
    online, settled = [], []
    for one in sets:
        tracker.associate(one.index, one.media_time_ns, footage.detections[one.index])
        result = tracker.identify(None)
        online.append(names(result.tracks))
        settled += result.settled
    return online, settled


@pytest.fixture(scope="module")
def undisturbed(footage):
    tracker = new_tracker(footage)
    online, settled = track(tracker, footage, sets_of(footage))
    return online, [*settled, *tracker.finish()]


class Clock:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0, None])
def test_speed_and_pauses_change_nobody(footage, undisturbed, speed):
    """Sets go through the worker's own pacing and queue, and are held up twice on the way."""
    clock = Clock()
    pace = Pace(speed, clock, clock.wait)

    def with_pauses():
        for one in sets_of(footage):
            if one.index in (20, 35):
                clock.wait(90.0)
            yield one

    def release(out: Ahead[FrameSet]) -> None:
        pace.release(with_pauses(), out)

    sets, thread = run_ahead(release, footage.frames, "align")
    tracker = new_tracker(footage)
    online, settled = track(tracker, footage, sets)
    thread.join()
    assert pace.dropped == 0
    assert online == undisturbed[0]
    assert [*settled, *tracker.finish()] == undisturbed[1]


@pytest.mark.parametrize("every", [1, 17])
def test_a_tracker_restored_from_its_snapshot_goes_on_alike(footage, undisturbed, every):
    """Online ids, settled sets and the sets still inside the lag."""
    tracker = new_tracker(footage)
    online, settled = [], []
    sets = sets_of(footage)
    for first in range(0, len(sets), every):
        some_online, some_settled = track(tracker, footage, sets[first : first + every])
        online += some_online
        settled += some_settled
        tracker = Tracker.restore(tracker.snapshot(), footage.planes, TrackingParameters())
    assert online == undisturbed[0]
    assert [*settled, *tracker.finish()] == undisturbed[1]


def test_a_slow_task_that_is_paused_and_killed_has_the_people_of_a_fast_one(tmp_path):
    """The whole installation: half speed, a pause, its worker killed; against full speed."""
    require_triton()
    world = make_long_world(tmp_path / "world", 1)
    some = {"environment_id": "blobs", "seed": 3, "end_time": "2024-05-01T09:00:04Z"}
    with data_folder() as folder, running_stack(world.settings(), folder) as stack:
        fast = stack.start_task(**some, speed="max")
        assert stack.wait(fast)["status"] == "COMPLETED"
        slow = stack.start_task(**some, speed=0.5)
        stack.wait(slow, lambda status: status["sets"] >= 5)
        controls = f"/tracking/controls/{slow}"
        assert stack.api.post(f"{controls}/pause").is_success
        assert stack.api.post(f"{controls}/play").is_success
        before = stack.wait(slow, lambda status: status["sets"] >= 15)
        kill(child(stack.data_dir, "--task", slow))
        status = stack.wait(slow)
        database = stack.urls()["database_url"]
        events = [events_of(database, task) for task in (fast, slow)]
    assert status["status"] == "COMPLETED", status
    if before["dropped"] or status["dropped"]:  # the count begins anew with each process
        pytest.skip("this machine is too busy to play five sets a second")
    assert events[0] == events[1]
    assert len({row[3] for row in events[0] if row[3]}) == 2
