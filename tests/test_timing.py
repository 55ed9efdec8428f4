"""Stage times."""

from plugins.timing import KEPT, StageTimes


def test_percentiles_are_of_the_newest_durations():
    """1 to 100 ms have their known percentiles; older durations are forgotten."""
    times = StageTimes()
    for _ in range(KEPT):
        times.add("detect", 9.0)
    for k in range(KEPT):
        times.add("detect", (k % 100 + 1) / 1000)
    assert times.percentiles_ms() == {"detect": {"p50": 50.0, "p95": 95.0, "p99": 99.0}}


def test_a_block_is_measured_under_its_name():
    """Stages do not mix."""
    times = StageTimes()
    with times.measure("match"):
        pass
    assert list(times.percentiles_ms()) == ["match"]
