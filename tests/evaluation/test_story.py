"""An identity's story in words, and the moments its pictures are taken of."""

from datetime import UTC, datetime, timedelta

from plugins.evaluation.picture_strip import Glimpse, well_spread
from plugins.evaluation.story import Decision, Sighting, tell
from plugins.frames import NS_PER_S

START = datetime(2024, 5, 1, 9, tzinfo=UTC)
ME, OTHER = "aaaaaaaa-0000", "bbbbbbbb-0000"


def at(seconds):
    return START + timedelta(seconds=seconds)


def decision(after_s, verdict, who=ME, other=None, **figures):
    known = dict.fromkeys(("cosine", "metres", "seconds", "threshold", "log_likelihood")) | figures
    return Decision(at(after_s), "c01", 3, verdict, who, other, **known, reason="a reason")


def test_what_was_weighed_is_told():
    """Cosine with what was asked for, metres, seconds, log-likelihood, and why."""
    figures = {"cosine": 0.81, "threshold": 0.7, "metres": 0.4, "seconds": 6, "log_likelihood": 2.5}
    [line] = tell({ME}, [decision(1, "joined", **figures)], [])
    for words in ("track 3 of c01", "0.81", "0.70", "0.40 m", "6.0 s", "2.5", "a reason"):
        assert words in line.text
    assert line.media_time == at(1)


def test_what_is_not_known_is_not_told():
    """No zero stands for a figure that nobody had."""
    [line] = tell({ME}, [decision(1, "new")], [])
    assert line.text == "begins as track 3 of c01 (a reason)"


def test_both_sides_of_a_decision_read_differently():
    """A track that changes hands comes to one and leaves the other."""
    switched = decision(1, "switched", who=ME, other=OTHER)
    [mine], [theirs] = tell({ME}, [switched], []), tell({OTHER}, [switched], [])
    assert "bbbbbbbb until now, is this person" in mine.text
    assert "leaves this person for aaaaaaaa" in theirs.text


def test_one_who_turned_out_to_be_another_ends_there():
    """The dropped id's story says whose it goes on as."""
    merged = decision(1, "merged", who=ME, other=OTHER)
    assert "the same person as aaaaaaaa" in tell({OTHER}, [merged], [])[0].text
    assert "bbbbbbbb turns out to be this person" in tell({ME, OTHER}, [merged], [])[0].text


def test_times_in_no_camera_are_told_once():
    """Lost when the last camera loses sight, back with the first, in order of media time."""
    sightings = [
        Sighting("c01", 1, at(0), at(10), 100),
        Sighting("c02", 1, at(4), at(8), 40),
        Sighting("c03", 5, at(20), at(25), 50),
    ]
    lines = tell({ME}, [], sightings)
    assert [line.media_time for line in lines] == sorted(line.media_time for line in lines)
    told = [(line.kind, line.camera_id, line.media_time) for line in lines if line.kind != "seen"]
    assert told == [("lost", "c01", at(10)), ("back", "c03", at(20)), ("lost", "c03", at(25))]
    assert "10.0 s in no camera" in next(line.text for line in lines if line.kind == "back")


def test_pictures_are_spread_over_time_and_cameras():
    """One moment for each part of the time, the cameras in turn, the largest box of each."""
    glimpses = [
        Glimpse(c, k * NS_PER_S, (0, 0, 10 + k % 5, 30), 0.9) for k in range(40) for c in "ab"
    ]
    chosen = well_spread(glimpses, 4)
    assert [g.media_time_ns // NS_PER_S // 10 for g in chosen] == [0, 1, 2, 3]
    assert {g.camera_id for g in chosen} == {"a", "b"}
    assert all(g.bbox_xyxy[2] == 14 for g in chosen)
    assert well_spread([], 4) == []
