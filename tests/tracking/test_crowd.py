"""Floors on made-up crowds: places alone, no appearance. Set under what was measured."""

import pytest

from tests.tracking.crowd import Crowd, Room, scores, track


@pytest.mark.parametrize("seed", [0, 1])
def test_twenty_people_with_misses_and_clutter(seed):
    """Twelve by nine metres, a fifth of the boxes missed, one in twenty false."""
    errors = {"miss": 0.2, "clutter": 0.05, "doubled": 0.0, "sigma": 0.03, "bias": 0.01}
    room = Room(seed, 12.0, 9.0, 20, 10.0, seconds=12.0, doors=False, **errors)
    crowd = Crowd(room)
    online, settled = track(crowd)
    assert scores(crowd, online)["IDF1"] >= 0.8
    assert scores(crowd, online)["MOTA"] >= 0.75
    assert scores(crowd, settled)["IDF1"] >= 0.8


def test_few_people_at_four_frames_a_second():
    """Six people in a room of eight by five metres keep their ids."""
    crowd = Crowd(Room(3, 8.0, 5.0, 6, 4.0, seconds=20.0, doors=False))
    online, _ = track(crowd)
    assert scores(crowd, online)["IDF1"] >= 0.85
