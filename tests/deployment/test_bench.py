"""What the bench makes of the tasks' figures, and one real measurement."""

import argparse
import json

import pytest

from control_plane.__main__ import main
from control_plane.commands.bench import task_numbers
from control_plane.health.bench_report import Use, row_of, task_limit

USE = Use(cpu=0.5)


def summary(p95=40.0, dropped=0, status="COMPLETED") -> dict:
    return {
        "status": status,
        "sets": 100,
        "dropped": dropped,
        "sets_per_s": 10.0,
        "cameras": {c: {"frames": 100} for c in ("c01", "c02")},
        "stage_ms": {"arrival_to_publish": {"p50": 20.0, "p95": p95, "p99": 90.0}},
    }


def test_rates_add_up_and_the_slowest_task_counts():
    row = row_of([summary(), summary(p95=70.0)], USE, 100)
    assert (row.tasks, row.sets_per_s, row.pictures_per_s) == (2, 20.0, 40.0)
    assert row.stage_ms["arrival_to_publish"]["p95"] == 70.0
    assert row.is_carried


@pytest.mark.parametrize("bad", [summary(p95=101.0), summary(dropped=1), summary(status="STOPPED")])
def test_slow_dropping_and_broken_off_tasks_are_not_carried(bad):
    assert not row_of([summary(), bad], USE, 100).is_carried


def test_limit_ends_at_the_first_number_that_is_not_carried():
    """A lucky larger number does not count."""
    rows = [row_of([summary()] * n, USE, 100) for n in (1, 2, 4)]
    rows.append(row_of([summary(dropped=5)] * 3, USE, 100))
    assert task_limit(rows) == 2
    assert task_limit(rows[-1:]) == 0


def test_numbers_of_tasks_are_read():
    assert task_numbers("3") == (3,)
    assert task_numbers("1..3") == (1, 2, 3)
    for text in ("0", "3..1", "a", "1..", "-1"):
        with pytest.raises(argparse.ArgumentTypeError):
            task_numbers(text)


def test_two_tasks_at_once_are_really_measured(blobs, monkeypatch, capsys):
    """On footage of generated figures; whether this machine carries them is its own affair."""
    for name, value in blobs.items():
        monkeypatch.setenv(name, value)
    main(["bench", "--environment", "blobs", "--tasks", "2", "--speed", "max", "--json"])

    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["tasks"] for row in report["rows"]] == [2]
    for row in report["rows"]:
        assert row["sets_per_s"] > 0
        assert 0 < row["use"]["cpu"] <= 1
        assert row["stage_ms"]["detect"]["p95"] > 0
    assert report["profile"] in {"cpu", "gpu"}


def test_unknown_environment_is_named_before_anything_starts(capsys):
    assert main(["bench", "--environment", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
