"""The synchroniser: pure, so tried with many made-up cameras."""

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.frames import Frame, FrameSet
from plugins.gst.synchroniser import Synchroniser

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
PICTURE = np.zeros((3, 2), np.uint8)


def frame(camera_id: str, after_ms: float) -> Frame:
    return Frame(camera_id, START_NS + round(after_ms * MS), 2, 2, PICTURE)


def drain(sync: Synchroniser) -> list[FrameSet]:
    sets = []
    while (frame_set := sync.pop()) is not None:
        sets.append(frame_set)
    return sets


def align(
    cameras: Mapping[str, Sequence[float]], rate_hz: float = 10.0, **options: int
) -> list[FrameSet]:
    """The sets of whole recordings, given each camera's frame times in milliseconds."""
    sync = Synchroniser(cameras, START_NS, rate_hz, 4, **options)
    for camera_id, times_ms in cameras.items():
        for time_ms in times_ms:
            sync.push(frame(camera_id, time_ms))
        sync.end(camera_id)
    return drain(sync)


def times(sets: list[FrameSet], camera_id: str) -> dict[int, float]:
    """Slot index → milliseconds of the frame the camera has there."""
    return {
        s.index: (s.frames[camera_id].media_time_ns - START_NS) / MS
        for s in sets
        if camera_id in s.frames
    }


def test_cameras_in_step_fill_every_set() -> None:
    """Two cameras at the set rate give one set a slot, each with both."""
    sets = align({"a": range(0, 1000, 100), "b": range(10, 1010, 100)})
    assert [s.index for s in sets] == list(range(10))
    assert all(set(s.frames) == {"a", "b"} for s in sets)
    assert [s.media_time_ns for s in sets] == [START_NS + k * 100 * MS for k in range(10)]


def test_nearest_of_a_fast_cameras_frames_counts() -> None:
    """Of 25 frames a second only the one nearest to each slot is used, the others are skipped."""
    sets = align({"a": range(0, 1000, 40)})
    nearest_ms = [0, 80, 200, 280, 400, 480, 600, 680, 800, 880, 960]
    assert list(times(sets, "a").values()) == nearest_ms


def test_slow_camera_repeats_its_last_frame() -> None:
    """A camera at 5 frames/s stands in for the slot between two of its frames."""
    cameras = {"a": range(0, 1000, 100), "slow": range(0, 1000, 200)}
    sets = align(cameras, end_ns=START_NS + 1000 * MS)
    assert times(sets, "slow") == {0: 0} | {k: k // 2 * 200 for k in range(2, 10)}


def test_slow_cameras_frame_is_not_repeated_for_ever() -> None:
    """After one and a half of its own intervals the camera is absent."""
    fast = range(0, 3000, 100)
    sets = align({"a": fast, "slow": [0, 200, 400, 600, 2000, 2200]})
    assert times(sets, "slow").keys() == {0, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 23, 24, 25}


def test_lost_frame_of_a_camera_in_step_is_absent_not_repeated() -> None:
    """Only a camera slower than the sets repeats; a hole in a normal one stays a hole."""
    sets = align({"a": range(0, 800, 100), "b": [0, 100, 200, 400, 500, 600, 700]})
    assert times(sets, "b").keys() == {0, 1, 2, 4, 5, 6, 7}


def test_slots_without_any_frame_are_skipped_but_counted() -> None:
    """A gap of all cameras leaves a hole in the indices, however long."""
    day_ms = 86_400_000
    sets = align({"a": [0, 100, day_ms], "b": [0, 100, day_ms + 100]})
    assert [s.index for s in sets] == [0, 1, day_ms // 100, day_ms // 100 + 1]


def test_ended_camera_is_absent_and_the_others_go_on() -> None:
    """A shorter recording does not end the task."""
    sets = align({"a": range(0, 1000, 100), "short": range(0, 300, 100)})
    assert len(sets) == 10
    assert times(sets, "short").keys() == {0, 1, 2}


def test_set_waits_until_the_last_camera_has_decided_it() -> None:
    """A frame before the slot leaves it open: the next one may be nearer."""
    sync = Synchroniser("ab", START_NS, 10.0, 4)
    sync.push(frame("a", 0))
    assert sync.pop() is None
    sync.push(frame("b", -30))
    assert sync.pop() is None
    sync.push(frame("b", 10))
    frame_set = sync.pop(arrived_s=7.5)
    assert frame_set is not None
    assert frame_set.frames["b"].media_time_ns == START_NS + 10 * MS
    assert frame_set.arrived_s == 7.5


def test_camera_far_ahead_is_full_until_sets_leave() -> None:
    """``depth`` bounds how many slots of a camera are held."""
    sync = Synchroniser("ab", START_NS, 10.0, 3)
    for k in range(3):
        sync.push(frame("a", 100 * k))
        assert not sync.is_full("a")
    sync.push(frame("a", 300))
    assert sync.is_full("a")
    sync.push(frame("b", 0))
    assert sync.pop() is not None
    assert not sync.is_full("a")


def test_late_camera_is_left_out_until_it_has_caught_up() -> None:
    """Giving up on a silent camera lets the sets go; it joins again at the present slot."""
    sync = Synchroniser("ab", START_NS, 10.0, 4)
    assert sync.give_up_waiting() == []
    for k in range(4):
        sync.push(frame("a", 100 * k))
    assert sync.give_up_waiting() == ["b"]
    assert [sorted(s.frames) for s in drain(sync)] == [["a"]] * 4
    for k in range(5):
        sync.push(frame("b", 100 * k))
    sync.push(frame("a", 400))
    assert [(s.index, sorted(s.frames)) for s in drain(sync)] == [(4, ["a", "b"])]


def test_range_is_half_open() -> None:
    """No set lies at or after the end, even where a frame is nearest to it."""
    sets = align({"a": range(0, 1000, 40)}, end_ns=START_NS + 500 * MS)
    assert [s.index for s in sets] == [0, 1, 2, 3, 4]


def test_nonsense_settings_are_refused() -> None:
    """Rates and depths have to be positive."""
    with pytest.raises(ValueError, match="rate_hz"):
        Synchroniser("a", START_NS, 0.0, 4)


recordings = st.dictionaries(
    st.sampled_from("abcd"),
    st.lists(st.integers(-200, 4000), max_size=60, unique=True).map(sorted),
    min_size=1,
)
regular = st.builds(
    lambda interval, phase, dropped: [
        phase + interval * k for k in range(4000 // interval) if k not in dropped
    ],
    st.integers(20, 700),
    st.integers(-49, 300),
    st.sets(st.integers(0, 30), max_size=6),
)
cameras = recordings | st.dictionaries(st.sampled_from("abcd"), regular, min_size=1)


@given(cameras, st.sampled_from([5.0, 10.0, 29.97]))
def test_every_set_keeps_the_promises(times_ms: dict[str, list[int]], rate_hz: float) -> None:
    """Indices rise, no set is empty, a frame is near its slot or repeats a slower camera's."""
    sets = align(times_ms, rate_hz)
    assert all(a.index < b.index for a, b in pairwise(sets))
    assert all(s.frames for s in sets)
    for camera_id, own_ms in times_ms.items():
        widest_ms = max((b - a for a, b in pairwise(own_ms)), default=0)
        for frame_set in (s for s in sets if camera_id in s.frames):
            slot_ms = (frame_set.media_time_ns - START_NS) / MS
            shown_ms = times([frame_set], camera_id)[frame_set.index]
            is_own = abs(slot_ms - shown_ms) <= 500 / rate_hz + 0.001
            is_repeat = 0 < slot_ms - shown_ms <= 1.5 * widest_ms
            assert is_own or is_repeat


@given(cameras)
def test_every_slot_with_a_frame_gets_the_nearest(times_ms: dict[str, list[int]]) -> None:
    """Against a plain search over all frames: none is lost, none in the wrong slot."""
    found = align(times_ms)
    for camera_id, own in times_ms.items():
        nearest: dict[int, int] = {}
        for t in own:
            slot = (t + 50) // 100
            if slot >= 0 and abs(t - 100 * slot) < abs(nearest.get(slot, 10**9) - 100 * slot):
                nearest[slot] = t
        assert nearest.items() <= times(found, camera_id).items()


@settings(max_examples=60)
@given(cameras, st.randoms(use_true_random=False))
def test_sets_do_not_depend_on_who_is_faster(
    times_ms: dict[str, list[int]], shuffle: random.Random
) -> None:
    """Frames arriving in any interleaving, with back-pressure, give the same sets."""
    sync = Synchroniser(times_ms, START_NS, 10.0, 3)
    left = {camera_id: list(own) for camera_id, own in times_ms.items()}
    sets: list[FrameSet] = []
    while left:
        free = [c for c in left if not sync.is_full(c)]
        assert free, "every camera waits for another"
        camera_id = shuffle.choice(free)
        if left[camera_id]:
            sync.push(frame(camera_id, left[camera_id].pop(0)))
        else:
            sync.end(camera_id)
            del left[camera_id]
        sets += drain(sync)
    assert [(s.index, times([s], c)) for s in sets for c in times_ms] == [
        (s.index, times([s], c)) for s in align(times_ms) for c in times_ms
    ]


@given(st.dictionaries(st.sampled_from("abcd"), regular, min_size=1), st.integers(0, 30))
def test_resuming_gives_the_rest_of_the_same_sets(
    times_ms: dict[str, list[int]], start_index: int
) -> None:
    """Starting at slot k gives what an uninterrupted run gives from k on."""
    whole = [s for s in align(times_ms) if s.index >= start_index]
    resumed = align(times_ms, start_index=start_index)
    assert [(s.index, times([s], c)) for s in whole for c in times_ms] == [
        (s.index, times([s], c)) for s in resumed for c in times_ms
    ]
