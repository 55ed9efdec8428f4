"""What is said once a second: how the system does, and who is where."""

import json

import numpy as np
import pytest
from websockets.sync.client import connect

from control_plane.channels import quality_of
from control_plane.health.performance import Gpu, parse_gpu, slowest
from control_plane.streaming.live_counts import Alert, LiveCounts, changes
from homography.environment import Zone
from plugins.messages import StageHistogram
from plugins.timing import BUCKETS_S
from tests.control_plane.serving import update_of
from tests.control_plane.test_live import next_of, rest_of, say
from tests.waiting import PATIENCE_S

SQUARE = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 15.0], [0.0, 15.0]])
STAGES = {"detect": {"p50": 20.0, "p95": 30.0, "p99": 40.0}}


def counts(capacity=None, polygon=SQUARE):
    return LiveCounts([Zone("hall", "Hall", "room", polygon, capacity)], (0.0, 0.0, 20.0, 15.0))


def test_everybody_is_counted_once_however_many_cameras_see_them():
    live = counts()
    live.add("t", update_of(0))
    metrics = live.metrics()
    assert metrics.total_persons == 4
    assert metrics.persons_per_camera == {"h1": 3, "h2": 3, "h3": 3, "h4": 3}
    assert metrics.zone_occupancy == {"hall": 4}
    assert metrics.crowd_density == pytest.approx(4 / 300, abs=1e-4)


def test_dwell_time_is_media_time_and_a_short_absence_does_not_end_it():
    live = counts()
    for index in (0, 10, 25):
        live.add("t", update_of(index))
    assert live.metrics().avg_dwell_time == pytest.approx(2.5)
    live.add("t", update_of(80))  # more than two seconds later: they have been away
    assert live.metrics().avg_dwell_time == 0.0


def test_nobody_is_nobody_and_a_task_that_ended_is_forgotten():
    live = counts()
    live.add("t", update_of(0, persons=0))
    assert (live.metrics().total_persons, live.metrics().avg_dwell_time) == (0, None)
    live.add("t", update_of(1))
    live.keep_only([])
    assert live.metrics().total_persons == 0


def test_an_alert_begins_above_the_capacity_and_ends_once():
    over = counts(capacity=3)
    over.add("t", update_of(0))
    alerts = over.alerts(over.metrics().zone_occupancy)
    assert alerts == [Alert("over_capacity", "hall", 4, 3)]
    assert changes([], alerts) == alerts
    assert changes(alerts, alerts) == []
    assert [a.state for a in changes(alerts, [])] == ["over"]
    exact = counts(capacity=4)
    exact.add("t", update_of(0))
    assert exact.alerts(exact.metrics().zone_occupancy) == []


def test_a_person_outside_every_zone_counts_in_totals_only():
    live = counts(polygon=SQUARE + 100)
    live.add("t", update_of(0))
    assert live.metrics().zone_occupancy == {"hall": 0}
    assert live.metrics().total_persons == 4


@pytest.mark.parametrize(
    ("offered", "skipped", "word"),
    [(100, 0, "good"), (100, 20, "fair"), (100, 60, "poor"), (0, 0, None), (-5, 0, None)],
)
def test_quality_is_the_share_of_sets_that_were_taken(offered, skipped, word):
    assert quality_of(offered, skipped) == word


def test_the_busiest_gpu_counts_and_strange_lines_do_not():
    assert parse_gpu("12, 1000, 8000\n80, 200, 8000\n[N/A], 1, 2\n") == Gpu(0.8, 200, 8000)
    assert parse_gpu("") is None


def test_the_slowest_task_counts_stage_by_stage():
    assert slowest([{"a": {"p50": 1.0}}, {"a": {"p50": 2.0}, "b": {"p50": 9.0}}]) == {
        "a": {"p50": 2.0},
        "b": {"p50": 9.0},
    }


def test_the_analytics_channel_counts_the_live_stream(app):
    task_id = app.start()
    app.worker.publish(task_id, 0, with_pictures=False)
    with connect(f"{app.ws_url}/ws/analytics/hall", open_timeout=PATIENCE_S) as client:
        assert next_of(client, "connection_established")
        payload = next_of(client, "analytics_update")["payload"]
        while payload["live_metrics"]["total_persons"] == 0:
            payload = next_of(client, "analytics_update")["payload"]
        assert set(payload) == {"environment_id", "timestamp", "live_metrics", "alerts"}
        assert set(payload["live_metrics"]) == {
            "total_persons",
            "persons_per_camera",
            "zone_occupancy",
            "avg_dwell_time",
            "crowd_density",
        }
        assert "entrance" in payload["live_metrics"]["zone_occupancy"]
        say(client, "ping")
        assert next_of(client, "pong")
    app.http.post(f"/api/v1/processing-tasks/{task_id}/stop")


def test_an_unknown_environment_is_told_and_closed_with_4404(app):
    with connect(f"{app.ws_url}/ws/analytics/nowhere", open_timeout=PATIENCE_S) as client:
        messages, code = rest_of(client)
    assert messages[0]["payload"]["code"] == "environment_not_found"
    assert code == 4404


def test_the_system_channel_and_performance_tell_what_the_workers_say(app):
    """Percentiles as they come; Prometheus gets histograms that add up."""
    task_id = app.start()
    histogram = StageHistogram([1] * (len(BUCKETS_S) + 1), 4.2)
    app.worker.report(
        task_id,
        status="PROCESSING",
        sets_per_s=9.5,
        dropped=3,
        stage_ms=STAGES,
        stage_histograms={"detect": histogram},
        queues={"detect": 1},
    )
    found = app.http.get("/api/v1/system/performance").json()
    [mine] = [task for task in found["tasks"] if task["task_id"] == task_id]
    assert (mine["stage_ms"], mine["queues"], mine["dropped"]) == (STAGES, {"detect": 1}, 3)
    assert found["stage_ms"]["detect"]["p99"] >= 40.0
    assert found["memory_used_mib"] > 1
    with connect(f"{app.ws_url}/ws/system", open_timeout=PATIENCE_S) as client:
        payload = next_of(client, "system_status")["payload"]
        assert payload["processing_fps"] >= 9.5
        assert payload["cameras_active"] == 4
        assert payload["components"]["redis"]["status"] == "ok"
        assert 0 < payload["memory_usage"] < 1
        for garbage in ("{", json.dumps({"type": "seek"})):
            client.send(garbage)
            assert next_of(client, "error")
    lines = app.http.get("/metrics").text.splitlines()
    mine = [x for x in lines if x.startswith("spoton_stage_seconds") and task_id in x]
    assert f'spoton_stage_seconds_count{{stage="detect",task_id="{task_id}"}} 15.0' in mine
    app.http.post(f"/api/v1/processing-tasks/{task_id}/stop")
