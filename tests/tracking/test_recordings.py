"""Identity on real recordings. The floors are what was reached, less a margin."""

from collections import Counter

import pytest

from tests.tracking import lab
from tests.tracking.recordings import (
    clipped,
    places_of,
    room_detections,
    room_planes,
    room_truth,
    track,
)
from tests.tracking.scoring import score_places


def room_scores(folder):
    """Scores on the floor at half a metre, by places alone."""
    sets = room_detections(folder)
    results = track(room_planes(folder), sets, rate_hz=4)
    found = [clipped(places_of(result)) for result in results]
    return score_places(room_truth(folder, len(sets)), found, within_m=0.5)


def test_three_people_in_a_room(test_data):
    """Four corner cameras, boxes without scores or pictures: IDF1 at least 0.97."""
    scores = room_scores(test_data / "cmc1")
    assert scores["IDF1"] >= 0.97, scores
    assert scores["MOTA"] >= 0.95, scores
    assert scores["ids"] <= 4, scores


def test_ten_people_in_a_room(test_data):
    """A crowd without pictures: who they are is told by where they go."""
    scores = room_scores(test_data / "cmc2")
    assert scores["MOTA"] >= 0.95, scores
    assert scores["IDF1"] >= 0.85, scores


def test_two_walkers_are_two_identities_over_four_cameras(test_data):
    """The laboratory: each walker is one id in all views, at few crops a second."""
    folder = test_data / "lab4"
    results, crops = lab.track(folder, lab.Models(test_data / "models", 320))
    pairs = lab.matched_ids(folder, results)
    main = [Counter(g for n, _, g in pairs if n == name).most_common(1)[0][0] for name in "AB"]
    assert None not in main
    assert main[0] != main[1]
    assert lab.idf1(pairs) >= 0.9
    assert crops / len(results) < 0.5


@pytest.mark.parametrize("blind", [range(100, 150)], ids=["five seconds"])
def test_walkers_are_recognised_after_a_blind_gap(test_data, blind):
    """No picture for five seconds: both walkers have the ids they had before."""
    folder = test_data / "lab4"
    results, _ = lab.track(folder, lab.Models(test_data / "models", 320), blind)
    pairs = lab.matched_ids(folder, results)
    for name in "AB":
        before = Counter(g for n, f, g in pairs if n == name and f < blind.start)
        after = Counter(g for n, f, g in pairs if n == name and f >= blind.stop)
        assert before.most_common(1)[0][0] == after.most_common(1)[0][0]
