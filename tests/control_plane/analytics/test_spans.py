"""Which task speaks for which moment."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.analytics.scope import checked_range, whole_minutes
from control_plane.analytics.spans import Extent, Range, Span, choose_spans
from plugins.errors import InvalidTimeRangeError

T0 = datetime(2024, 5, 1, 9, tzinfo=UTC)


def at(seconds):
    return T0 + timedelta(seconds=seconds)


def extent(task, age, cameras, start, end):
    return Extent(task, T0 - timedelta(days=age), cameras, at(start), at(end))


def seconds(spans):
    return [
        (s.task_id, (s.start - T0).total_seconds(), (s.end - T0).total_seconds()) for s in spans
    ]


def test_of_two_tasks_over_the_same_recording_the_newer_counts():
    spans = choose_spans([extent("old", 2, 4, 0, 100), extent("new", 1, 4, 40, 60)], None)
    assert seconds(spans) == [("old", 0, 40), ("new", 40, 60), ("old", 60, 100)]


def test_a_task_with_fewer_cameras_fills_gaps_only():
    spans = choose_spans([extent("four", 2, 4, 50, 100), extent("one", 1, 1, 0, 70)], None)
    assert seconds(spans) == [("one", 0, 50), ("four", 50, 100)]


def test_spans_are_cut_to_what_is_asked():
    wanted = Range(at(30), at(55))
    spans = choose_spans([extent("a", 2, 4, 0, 50), extent("b", 1, 4, 50, 100)], wanted)
    assert seconds(spans) == [("a", 30, 50), ("b", 50, 55)]
    assert choose_spans([], wanted) == []


def test_a_minute_belongs_to_one_task():
    spans = whole_minutes([Span("a", at(10), at(90)), Span("b", at(90), at(150))])
    assert seconds(spans) == [("a", 0, 120), ("b", 120, 180)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (at(5), at(5)),
        (at(6), at(5)),
        (datetime(2024, 5, 1), None),  # noqa: DTZ001  # that is the mistake
        (None, datetime(9000, 1, 1, tzinfo=UTC)),
        (at(0), at(0) + timedelta(days=500)),
    ],
)
def test_ranges_that_make_no_sense_are_refused(start, end):
    with pytest.raises(InvalidTimeRangeError):
        checked_range(start, end)
