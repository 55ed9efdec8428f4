"""WebSockets over a real server and Redis: what arrives, in which order, and what gives way."""

import asyncio
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from control_plane.streaming.live_protocol import BINARY, frame_header
from control_plane.streaming.outboxes import Closing, Outbox
from control_plane.streaming.renderings import UpdateEntry
from plugins.wire import decode_set
from tests.control_plane.serving import Running, running_app, update_of
from tests.services import free_port, start_redis
from tests.waiting import PATIENCE_S, wait_until


def opened(app: Running, task_id: str, kind: str = "tracking", query: str = "") -> ClientConnection:
    url = f"{app.ws_url}/ws/{kind}/{task_id}{query}"
    return connect(url, max_size=None, open_timeout=PATIENCE_S)


def messages_of(client: ClientConnection) -> Iterator[str | bytes]:
    """What arrives; TimeoutError when the message looked for has not come in PATIENCE_S."""
    ends_at = time.monotonic() + PATIENCE_S
    while True:
        yield client.recv(timeout=max(0.0, ends_at - time.monotonic()))


def next_of(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The next JSON message of a type; others are passed over."""
    return next(
        dict(decoded)
        for message in messages_of(client)
        if isinstance(message, str) and (decoded := json.loads(message))["type"] == kind
    )


def next_set(client: ClientConnection) -> bytes:
    """The next binary message."""
    return next(message for message in messages_of(client) if isinstance(message, bytes))


def rest_of(client: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """Every JSON message until the server closes, and the code it closes with."""
    messages = []
    with suppress(ConnectionClosed):
        while True:
            message = client.recv(timeout=PATIENCE_S)
            if isinstance(message, str):
                messages.append(json.loads(message))
    return messages, client.protocol.close_code or 0


def follow_stream(app: Running, task_id: str, client: ClientConnection) -> None:
    """Sets 0 and 1, one after the other: whatever is published from now on reaches the client,
    where before a set could have given way to a newer one.
    """
    for index in range(2):
        app.worker.publish(task_id, index, with_pictures=False)
        next_of(client, "tracking_update")


def say(client: ClientConnection, kind: str) -> None:
    client.send(json.dumps({"type": kind}))


def test_updates_arrive_as_the_contract_has_them(app: Running) -> None:
    """The payload is the worker's, unchanged, in one envelope."""
    task_id = app.start()
    with opened(app, task_id) as client:
        hello = next_of(client, "connection_established")
        assert hello["payload"]["status"] == "QUEUED"
        app.worker.publish(task_id, 0, with_pictures=False)
        update = next_of(client, "tracking_update")
        assert set(update) == {"type", "task_id", "payload", "timestamp"}
        expected = msgspec.to_builtins(update_of(0))
        sent = update["payload"]
        assert sent.pop("timestamp_processed_utc")
        expected.pop("timestamp_processed_utc")
        assert sent == json.loads(json.dumps(expected))


def test_sets_of_pictures_are_relayed_byte_for_byte(app: Running) -> None:
    task_id = app.start()
    with opened(app, task_id, "frames") as client:
        next_of(client, "connection_established")
        message = app.worker.publish(task_id, 4)
        received = next_set(client)
        assert received == message
        assert list(decode_set(received).jpegs) == ["h1", "h2", "h3", "h4"]
        assert client.protocol.extensions == []


@pytest.mark.parametrize("length", [0, 125, 126, 2**16 - 1, 2**16])
def test_pictures_are_framed_as_the_library_frames_them(length: int) -> None:
    data = b"x" * length
    assert frame_header(BINARY, length) + data == Frame(Opcode.BINARY, data).serialize(mask=False)


@pytest.mark.parametrize(
    "offers",
    [
        [],
        [ClientPerMessageDeflateFactory(server_max_window_bits=9)],
        [ClientPerMessageDeflateFactory(client_no_context_takeover=True)],
    ],
)
def test_every_client_can_read_what_is_deflated_once_for_all(
    app: Running, offers: list[ClientPerMessageDeflateFactory]
) -> None:
    """Whether it inflates nothing, with a small window, or as browsers do."""
    task_id = app.start()
    url = f"{app.ws_url}/ws/tracking/{task_id}"
    with (
        connect(url, compression=None, extensions=offers or None) as client,
        opened(app, task_id) as other,
    ):
        assert len(client.protocol.extensions) == len(offers)
        for index in range(5):
            app.worker.publish(task_id, index, with_pictures=False)
            update = next_of(client, "tracking_update")
            assert update == next_of(other, "tracking_update")
            assert update["payload"]["global_frame_index"] == index


def test_whoever_comes_later_sees_the_newest_set_at_once(app: Running) -> None:
    task_id = app.start()
    app.worker.publish(task_id, 1)
    newest = app.worker.publish(task_id, 2)
    with opened(app, task_id, "frames") as one, opened(app, task_id, "frames") as two:
        assert next_set(one) == next_set(two) == newest


def test_since_resumes_without_a_gap_or_a_double(app: Running) -> None:
    task_id = app.start()
    for index in range(250):
        app.worker.publish(task_id, index, with_pictures=False)
    with opened(app, task_id, query="?since=20") as client:
        seen = [next_of(client, "tracking_update")["payload"]["global_frame_index"]]
        app.worker.publish(task_id, 250, with_pictures=False)
        while seen[-1] < 250:
            seen.append(next_of(client, "tracking_update")["payload"]["global_frame_index"])
    assert seen == list(range(21, 251))


@pytest.mark.parametrize("written", [str.upper, lambda task_id: task_id.replace("-", "")])
def test_a_task_id_written_otherwise_is_the_same_task(
    app: Running, written: Callable[[str], str]
) -> None:
    """What is published under the id's usual form arrives, and is told under it."""
    task_id = app.start()
    with opened(app, written(task_id)) as client:
        assert next_of(client, "connection_established")["task_id"] == task_id
        app.worker.publish(task_id, 0, with_pictures=False)
        assert next_of(client, "tracking_update")["task_id"] == task_id


def test_a_senseless_since_is_an_error_and_the_connection_stays(app: Running) -> None:
    task_id = app.start()
    with opened(app, task_id, query="?since=yesterday") as client:
        assert next_of(client, "error")["payload"]["code"] == "invalid_since"
        app.worker.publish(task_id, 0, with_pictures=False)
        assert next_of(client, "tracking_update")


def test_status_comes_by_itself_on_request_and_on_change(app: Running) -> None:
    task_id = app.start()
    with opened(app, task_id) as client:
        next_of(client, "connection_established")
        app.worker.report(task_id, status="PROCESSING", progress=0.25)
        while (status := next_of(client, "status_update")["payload"])["status"] != "PROCESSING":
            pass
        assert status["progress"] == 0.25
        say(client, "request_status")
        assert next_of(client, "status_update")["payload"]["status"] == "PROCESSING"


def test_unsubscribed_clients_get_answers_but_no_updates(app: Running) -> None:
    task_id = app.start()
    with opened(app, task_id) as client:
        say(client, "unsubscribe_tracking")
        say(client, "ping")
        next_of(client, "pong")
        app.worker.publish(task_id, 0, with_pictures=False)
        next_of(client, "status_update")
        next_of(client, "status_update")
        say(client, "subscribe_tracking")
        say(client, "ping")
        next_of(client, "pong")
        app.worker.publish(task_id, 1, with_pictures=False)
        update = next_of(client, "tracking_update")
        assert update["payload"]["global_frame_index"] == 1


def test_a_message_of_twenty_megabytes_closes_only_its_own_connection(app: Running) -> None:
    task_id = app.start()
    with opened(app, task_id) as good, opened(app, task_id) as bad:
        with suppress(ConnectionClosed):  # the server may close while we are still sending
            bad.send("x" * 20_000_000)
        assert rest_of(bad)[1] in {1006, 1009}
        say(good, "ping")
        assert next_of(good, "pong")


@pytest.mark.parametrize("task_id", [str(uuid.UUID(int=404)), "nonsense"])
def test_an_unknown_task_is_told_and_closed_with_4404(app: Running, task_id: str) -> None:
    with opened(app, task_id) as client:
        messages, code = rest_of(client)
    assert [m["type"] for m in messages] == ["error"]
    assert messages[0]["payload"]["code"] == "task_not_found"
    assert code == 4404


def test_a_task_that_ends_says_everything_then_its_status_then_closes(app: Running) -> None:
    task_id = app.start()
    with opened(app, task_id) as client:
        follow_stream(app, task_id, client)
        for index in range(2, 30):
            app.worker.publish(task_id, index, with_pictures=False)
        app.worker.report(task_id, status="COMPLETED", progress=1.0, sets=30)
        messages, code = rest_of(client)
    kinds = [m["type"] for m in messages]
    updates = [m for m in messages if m["type"] == "tracking_update"]
    assert [u["payload"]["global_frame_index"] for u in updates] == list(range(2, 30))
    assert kinds[-1] == "status_update"
    assert messages[-1]["payload"]["status"] == "COMPLETED"
    assert code == 1000


def test_a_task_that_has_ended_long_ago_shows_its_last_set_and_closes(app: Running) -> None:
    task_id = app.start()
    app.http.post(f"/api/v1/processing-tasks/{task_id}/stop")
    app.worker.publish(task_id, 9, with_pictures=False)
    with opened(app, task_id) as client:
        messages, code = rest_of(client)
    assert code == 1000
    assert [m["type"] for m in messages] == [
        "connection_established",
        "frame_sync",
        "tracking_update",
        "status_update",
    ]


def test_one_reader_serves_all_clients_of_a_task(app: Running) -> None:
    """Twenty clients cost Redis one blocking read, not twenty."""
    task_id = app.start()
    with ExitStack() as stack:
        clients = [stack.enter_context(opened(app, task_id)) for _ in range(20)]
        for client in clients:
            next_of(client, "connection_established")
        number = (app.settings.redis_url or "").rsplit("/", 1)[1]

        def readers() -> int:
            listed = app.worker.redis.client_list()
            return sum(c["db"] == number and "b" in c["flags"] for c in listed)

        wait_until(lambda: readers() == 1)
        app.worker.publish(task_id, 0, with_pictures=False)
        for client in clients:
            assert next_of(client, "tracking_update")["payload"]["global_frame_index"] == 0


def _stalled(app: Running, task_id: str) -> socket.socket:
    """A client that asks for pictures and then never reads."""
    stalled = socket.create_connection(("127.0.0.1", app.settings.port))
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.sendall(
        f"GET /ws/frames/{task_id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return stalled


def test_stalled_clients_cost_the_others_nothing(app: Running) -> None:
    """Five clients never read; a sixth gets every set, and what waits for the five is bounded."""
    task_id = app.start()
    stalled = [_stalled(app, task_id) for _ in range(5)]
    try:
        with opened(app, task_id, "frames") as client:
            next_of(client, "connection_established")
            for index in range(60):
                message = app.worker.publish(task_id, index, padding=400_000)
                assert next_set(client) == message
    finally:
        for one in stalled:
            one.close()

    def skipped() -> float:
        lines = app.http.get("/metrics").text.splitlines()
        found = [x for x in lines if x.startswith('spoton_websocket_skipped_total{kind="frames"}')]
        return float(found[0].split()[1]) if found else 0.0

    wait_until(lambda: skipped() > 100)


def test_updates_go_on_after_redis_was_away(tmp_path: Path) -> None:
    """The socket stays open, the outage is announced once, and new updates arrive after it."""
    port = free_port()
    redis = start_redis(port)
    with running_app(tmp_path, redis_url=f"redis://127.0.0.1:{port}/0") as app:
        task_id = app.start()
        with opened(app, task_id) as client:
            app.worker.publish(task_id, 0, with_pictures=False)
            next_of(client, "tracking_update")
            redis.terminate()
            redis.wait()
            assert next_of(client, "error")["payload"]["code"] == "redis_unavailable"
            answer = app.http.get(f"/api/v1/processing-tasks/{task_id}/active-persons")
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "redis_unavailable"
            again = start_redis(port)
            app.worker.publish(task_id, 5, with_pictures=False)
            message = {"type": ""}
            while message["type"] != "tracking_update":
                message = json.loads(client.recv(timeout=PATIENCE_S))
                assert message["type"] != "error"
            again.terminate()
            again.wait()


def test_the_server_ends_while_clients_are_connected(tmp_path: Path) -> None:
    """Clients are told to come back; the shutdown does not wait for them."""
    before = set(threading.enumerate())
    with ExitStack() as stack:
        with running_app(tmp_path) as app:
            task_id = app.start()
            kinds = ("tracking", "frames")
            clients = [stack.enter_context(opened(app, task_id, kind)) for kind in kinds]
            for client in clients:
                next_of(client, "connection_established")
        assert [rest_of(client)[1] for client in clients] == [1012, 1012]
    left = set(threading.enumerate()) - before
    assert not [t for t in left if "asyncio" in t.name and not t.daemon]


def run(scenario: Callable[[], Any]) -> None:
    asyncio.run(scenario())


def entry(index: int, size: int = 1) -> UpdateEntry:
    return UpdateEntry(index, b"x" * size, "task")


def test_an_outbox_of_pictures_holds_the_newest_set_only() -> None:
    async def scenario() -> None:
        outbox = Outbox(kept=1, max_bytes=0)
        entries = [entry(index, 1000) for index in range(3)]
        for one in entries:
            outbox.put(one)
        assert await outbox.get() is entries[2]
        assert (outbox.offered, outbox.skipped) == (3, 2)

    run(scenario)


def test_an_outbox_of_updates_is_bounded_in_number_and_bytes() -> None:
    async def scenario() -> None:
        by_number, by_bytes = Outbox(kept=3, max_bytes=10**6), Outbox(kept=100, max_bytes=2500)
        for index in range(10):
            by_number.put(entry(index))
            by_bytes.put(entry(index, 1000))
        assert [(await by_number.get()).index for _ in range(3)] == [7, 8, 9]  # type: ignore[union-attr]
        assert [(await by_bytes.get()).index for _ in range(2)] == [8, 9]  # type: ignore[union-attr]
        assert (by_number.skipped, by_bytes.skipped) == (7, 8)

    run(scenario)


def test_an_outbox_says_replies_first_and_its_last_words_last() -> None:
    async def scenario() -> None:
        outbox = Outbox(kept=3, max_bytes=100)
        data = entry(0)
        outbox.put(data)
        outbox.end("over", 1000, "ended")
        outbox.end("again", 1011, "")
        outbox.reply("pong")
        said = [await outbox.get() for _ in range(4)]
        assert said == ["pong", data, "over", Closing(1000, "ended")]

    run(scenario)


def test_an_outbox_at_half_the_rate_takes_every_other_set() -> None:
    async def scenario() -> None:
        outbox = Outbox(kept=9, max_bytes=10**6)
        outbox.divisor = 2
        for index in range(6):
            outbox.put(entry(index))
        assert [(await outbox.get()).index for _ in range(3)] == [0, 2, 4]  # type: ignore[union-attr]
        assert outbox.skipped == 0

    run(scenario)
