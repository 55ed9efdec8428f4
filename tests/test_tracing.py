"""Spans of the stages, and the extra that may be missing."""

import importlib.util
import subprocess
import sys

import pytest

from plugins.errors import InvalidInputError
from plugins.timing import StageTimes
from plugins.tracing import open_tracing, set_trace_id, traced_sets

NOW_NS = 1_700_000_000_000_000_000


class Recorder:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[tuple] = []

    def span(self, *span) -> None:
        self.spans.append(span)


def test_every_stage_of_a_set_is_a_span_of_its_trace():
    """Whichever thread measured it; what belongs to no set is in no trace."""
    recorder = Recorder()
    times = StageTimes(traced_sets(recorder, "task-1", lambda: NOW_NS))
    times.add("detect", 0.02, 7)
    times.add("publish", 0.001, 7)
    times.add("detect", 0.03, 8)
    times.add("elsewhere", 0.5)

    assert [(name, trace_id) for name, trace_id, *_ in recorder.spans] == [
        ("detect", set_trace_id("task-1", 7)),
        ("publish", set_trace_id("task-1", 7)),
        ("detect", set_trace_id("task-1", 8)),
    ]
    _, _, start_ns, end_ns, attributes = recorder.spans[0]
    assert (start_ns, end_ns) == (NOW_NS - 20_000_000, NOW_NS)
    assert attributes == {"task_id": "task-1", "frame_index": 7}
    assert times.percentiles_ms()["detect"]["p50"] == 20.0


def test_trace_ids_are_of_128_bits_and_differ():
    ids = {set_trace_id(task, index) for task in "ab" for index in range(100)}
    assert len(ids) == 200
    assert all(0 < trace_id < 2**128 for trace_id in ids)


def test_without_a_url_nothing_is_traced_or_imported():
    """The worker's start is no slower for it."""
    assert open_tracing(None) is None
    code = (
        "import sys, plugins.worker; print(any(m.startswith('opentelemetry') for m in sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.strip() == b"False"


def test_missing_extra_is_named():
    if importlib.util.find_spec("opentelemetry") is not None:
        pytest.skip("OpenTelemetry is installed here")
    with pytest.raises(InvalidInputError, match="pip install"):
        open_tracing("http://127.0.0.1:4318/v1/traces")
