"""What clients and services do wrong, over a real server: the others and the connection go on."""

import asyncio
import json
import socket
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from control_plane.store import Store
from control_plane.streaming.deltas import apply_delta
from plugins.wire import decode_set
from tests.control_plane.serving import running_app
from tests.control_plane.test_live import (
    next_of,
    next_set,
    opened,
    rest_of,
    run,
)
from tests.services import free_port, start_redis
from tests.waiting import PATIENCE_S, wait_until


def test_deltas_on_request_add_up_to_the_updates(app):
    """Two clients see the same, one of them by what changed."""
    task_id = app.start()
    app.worker.publish(task_id, 0, with_pictures=False)
    with opened(app, task_id) as whole, opened(app, task_id, query="?delta=true") as delta:
        payload = next_of(delta, "tracking_update")["payload"]
        assert payload == next_of(whole, "tracking_update")["payload"]
        for index in range(1, 6):
            app.worker.publish(task_id, index, with_pictures=False)
            message = next_of(delta, "tracking_update")
            assert message["delta_since"] == index - 1
            payload = apply_delta(payload, message["payload"])
            assert payload == next_of(whole, "tracking_update")["payload"]


def test_crops_are_linked_on_request(app):
    task_id = app.start()
    app.worker.publish(task_id, 0)
    with opened(app, task_id, query="?crops=true") as client:
        view = next_of(client, "tracking_update")["payload"]["cameras"]["h1"]
    assert set(view["cropped_persons"]) == {t["global_id"] for t in view["tracks"]}
    url = next(iter(view["cropped_persons"].values()))
    assert app.http.get(url).headers["content-type"] == "image/jpeg"


def test_a_smaller_quality_is_given_on_request_and_a_senseless_one_is_an_error(app):
    task_id = app.start()
    message = app.worker.publish(task_id, 0)
    with opened(app, task_id, "frames", "?quality=quarter") as client:
        assert next_of(client, "frame_sync")["payload"]["quality"] == "quarter"
        small = next_set(client)
    assert len(small) < len(message)
    assert decode_set(small).metadata_json == decode_set(message).metadata_json
    with opened(app, task_id, "frames", "?quality=best") as client:
        assert next_of(client, "error")["payload"]["code"] == "invalid_quality"
        assert next_set(client) == message


def test_what_is_not_kept_any_more_is_told_to_who_resumes(app):
    task_id = app.start()
    for index in range(50):
        app.worker.publish(task_id, index)
    with opened(app, task_id, "frames", "?since=3") as client:
        sync = next_of(client, "frame_sync")["payload"]
        first = decode_set(next_set(client)).frame_index
    assert sync["reason"] == "not_kept"
    assert sync["missed_sets"] == first - 4 > 0


async def come_at_once(url, count):
    """How many were greeted, and the others' close codes and reasons."""

    async def come():
        try:
            async with connect_async(url, open_timeout=PATIENCE_S) as client:
                return json.loads(await client.recv())["type"]
        except ConnectionClosed as closed:
            return closed.rcvd.code, closed.rcvd.reason

    return Counter(await asyncio.gather(*(come() for _ in range(count))))


def test_more_connections_than_a_minute_allows_are_told_to_come_back(tmp_path):
    """Each is greeted or closed with the reason, and nothing of them stays."""
    with running_app(tmp_path, requests_per_min=60) as app:
        url = f"{app.ws_url}/ws/tracking/{app.start()}"
        came = asyncio.run(come_at_once(url, 300))
        assert set(came) == {"connection_established", (1013, "too_many_requests")}
        assert came.total() == 300
        assert came["connection_established"] <= 2 * 62  # a minute may end meanwhile

        def clients():
            lines = app.http.get("/metrics").text.splitlines()
            return [x for x in lines if x.startswith('spoton_websocket_clients{kind="tracking"}')]

        wait_until(lambda: clients() == ['spoton_websocket_clients{kind="tracking"} 0.0'])


def test_a_task_that_fails_while_watched_says_so_and_closes(app):
    task_id = app.start()

    async def fail():
        store = Store(app.settings.database_url)
        await store.set_status(task_id, "FAILED", "the worker died 5 times")
        await store.close()

    with opened(app, task_id) as client, opened(app, task_id, "focus") as focus:
        next_of(client, "status_update")
        run(fail)
        for one in (client, focus):
            messages, code = rest_of(one)
            assert code == 1000
            assert messages[-1]["payload"]["status"] == "FAILED"
            assert "died" in messages[-1]["payload"]["error"]


def test_the_gap_that_a_restart_of_redis_leaves_is_announced(tmp_path: Path):
    port = free_port()
    redis = start_redis(port)
    with running_app(tmp_path, redis_url=f"redis://127.0.0.1:{port}/0") as app:
        task_id = app.start()
        with opened(app, task_id, "frames") as client:
            app.worker.publish(task_id, 0)
            next_set(client)
            redis.terminate()
            redis.wait()
            assert next_of(client, "error")["payload"]["code"] == "redis_unavailable"
            again = start_redis(port)
            message = app.worker.publish(task_id, 5)
            sync = next_of(client, "frame_sync")["payload"]
            assert (sync["reason"], sync["missed_sets"]) == ("redis_was_away", 4)
            assert next_set(client) == message
            again.terminate()
            again.wait()


def test_a_slow_client_is_given_smaller_pictures_and_the_others_all_of_them(app):
    """It reads one message while twenty sets go by; whoever reads on gets each set, whole."""
    task_id = app.start()
    told: list[str] = []
    is_over, may_read = threading.Event(), threading.Semaphore(0)

    def dawdle(client):
        with suppress(ConnectionClosed, TimeoutError):
            while may_read.acquire() and not is_over.is_set():
                message = client.recv(timeout=PATIENCE_S)
                if isinstance(message, str) and json.loads(message)["type"] == "frame_sync":
                    told.append(json.loads(message)["payload"]["quality"])

    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    line.connect(("127.0.0.1", app.settings.port))
    url = f"{app.ws_url}/ws/frames/{task_id}"
    slow = connect(url, sock=line, max_size=None, max_queue=1, close_timeout=0.2)
    thread = threading.Thread(target=dawdle, args=(slow,))
    with slow, opened(app, task_id, "frames") as quick:
        next_of(quick, "status_update")
        thread.start()
        for index in range(600):
            message = app.worker.publish(task_id, index, padding=500_000)
            assert next_set(quick) == message
            if "half" in told:
                break
            if index % 20 == 0:
                may_read.release()
        is_over.set()
        may_read.release()
    thread.join(PATIENCE_S)
    assert "half" in told
