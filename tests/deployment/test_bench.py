"""What the bench makes of the tasks' figures, and one real measurement."""

import argparse
import json
import os

import pytest

from control_plane.__main__ import main
from control_plane.commands.bench import UseMeter, task_numbers
from control_plane.health.bench_report import Use, parse_gpu_sample, row_of, task_limit, use_of
from tests.waiting import wait_until

USE = Use(cpu=0.5)
NVIDIA_SMI = """#!/bin/sh
case "$1" in
--query-gpu=utilization.gpu,utilization.decoder,memory.used) echo "50, 20, 8123" ;;
*) echo "NVIDIA L4, 570.133.20, 8.9, 23034, 20000" ;;
esac
"""


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


def test_gpu_and_its_decoders_are_looked_at_while_it_runs(tmp_path, monkeypatch):
    """nvidia-smi is a script here that answers both questions."""
    script = tmp_path / "nvidia-smi"
    script.write_text(NVIDIA_SMI)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with UseMeter() as meter:
        wait_until(lambda: meter.read().gpu is not None)
        use = meter.read()
    assert (use.gpu, use.gpu_memory_mib, use.decoder) == (0.5, 8123, 0.2)


def test_gpu_use_is_a_mean_and_a_decoder_that_does_not_tell_is_left_out():
    """nvidia-smi writes [N/A] then."""
    texts = ("30, [N/A], 900\n99, 99, 99\n", "50, [N/A], 700\n")
    samples = [parse_gpu_sample(text) for text in texts]
    assert use_of(0.25, samples) == Use(0.25, 0.4, 900, None)
    samples.append(parse_gpu_sample("70, 40, 800\n"))
    assert use_of(0.25, samples) == Use(0.25, 0.5, 900, 0.4)
    assert use_of(0.25, []) == Use(0.25)
    with pytest.raises(ValueError, match="values"):
        parse_gpu_sample("NVIDIA-SMI has failed\n")


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
