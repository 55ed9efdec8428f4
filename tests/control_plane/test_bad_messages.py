"""What clients of every channel send that they should not, and how many of them come at once."""

import asyncio
import json
import os
import socket
from collections import Counter
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from tests.control_plane.serving import running_app
from tests.control_plane.test_live import next_of, opened, rest_of, say
from tests.waiting import PATIENCE_S

CHANNELS = (
    "tracking/{}", "frames/{}", "focus/{}", "system", "analytics/hall",
    "tracking/{}?tab_id=bad", "focus/{}?tab_id=bad",
)  # fmt: skip
NONSENSE = (
    ("hello", "invalid_message"),
    (b"\xff\xfe", "invalid_message"),
    (os.urandom(5000), "invalid_message"),
    ("[1, 2]", "invalid_message"),
    ('{"type": 5}', "invalid_message"),
    ('{"type": null}', "invalid_message"),
    ('{"type": "ping", "x": ' + "[" * 20_000, "invalid_message"),
    ('{"type": "dance"}', "unknown_message"),
    ('{"type": "' + "x" * 60_000 + '"}', "unknown_message"),
    ("x" * 10_000_000, "message_too_large"),
    (bytes(10_000_000), "message_too_large"),
)
WRONG_TYPES = (
    {"type": "set_focus"},
    {"type": "set_focus", "person_id": 5},
    {"type": "set_focus", "person_id": "x" * 65},
    {"type": "subscribe_tracking", "delta": "yes"},
    {"type": "seek", "position": []},
    {"type": "seek", "position": -0.1},
    {"type": "seek", "timestamp": "yesterday"},
    {"type": "speed", "speed": "fast"},
    {"type": "speed", "speed": None},
    {"type": "speed", "speed": 1e300},
)
HANDSHAKE = (
    "GET /ws/tracking/{} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BROKEN_FRAMES = {
    "not masked": b"\x81\x05hello",
    "an opcode there is not": b"\x83\x80\0\0\0\0",
    "text that is none": b"\x81\x82\0\0\0\0\xff\xfe",
    "longer than anything": b"\x82\xff\xff" + b"\xff" * 7,
    "a long ping": b"\x89\xfe\x01\0\0\0\0\0" + bytes(256),
    "no frames at all": b"\xff" * 5000,
}
AT_ONCE = 1000


@pytest.mark.parametrize("channel", CHANNELS)
def test_nonsense_is_answered_on_every_channel_and_the_connection_stays(app, channel):
    url = f"{app.ws_url}/ws/{channel.format(app.start())}"
    with connect(url, max_size=None, open_timeout=PATIENCE_S) as client:
        for nonsense, code in NONSENSE:
            client.send(nonsense)
            assert next_of(client, "error")["payload"]["code"] == code
        say(client, "ping")
        assert next_of(client, "pong")


def test_wrong_types_are_named_and_the_connection_stays(app):
    with opened(app, app.start()) as client:
        for message in WRONG_TYPES:
            client.send(json.dumps(message))
            error = next_of(client, "error")["payload"]
            assert error["code"] == "invalid_message"
            assert error["message"].startswith(message["type"])
        say(client, "ping")
        assert next_of(client, "pong")


@pytest.mark.parametrize("name", BROKEN_FRAMES)
def test_frames_that_are_none_close_their_own_connection_alone(app, name):
    task_id = app.start()
    with opened(app, task_id) as good, socket.create_connection(
        ("127.0.0.1", app.settings.port), timeout=PATIENCE_S
    ) as bad:  # fmt: skip
        bad.sendall(HANDSHAKE.format(task_id).encode())
        assert bad.recv(12) == b"HTTP/1.1 101"
        bad.sendall(BROKEN_FRAMES[name])
        with suppress(ConnectionResetError):  # it need not wait for what we had still to say
            while bad.recv(65536):
                pass
        app.worker.publish(task_id, 0, with_pictures=False)
        assert next_of(good, "tracking_update")["payload"]["global_frame_index"] == 0


@pytest.mark.parametrize("kind", ["tracking", "frames", "focus"])
def test_a_task_that_is_stopped_while_watched_says_so_and_closes(app, kind):
    task_id = app.start()
    with opened(app, task_id, kind) as client:
        next_of(client, "status_update")
        app.http.post(f"/api/v1/processing-tasks/{task_id}/stop")
        messages, code = rest_of(client)
    assert code == 1000
    assert messages[-1]["payload"]["status"] == "STOPPED"


def test_a_thousand_connections_within_a_second_are_greeted_and_disturb_nobody(tmp_path):
    """They are asked for at once; who was there before goes on getting every set."""
    with running_app(tmp_path, requests_per_min=0) as app:
        task_id = app.start()
        with opened(app, task_id) as client:
            next_of(client, "status_update")
            came = asyncio.run(storm(app, task_id))
            updates = [next_of(client, "tracking_update") for _ in range(20)]
    assert came == Counter(connection_established=AT_ONCE)
    assert [u["payload"]["global_frame_index"] for u in updates] == list(range(20))


async def storm(app, task_id):
    """The first messages of all who came, while sets are published."""

    async def come():
        url = f"{app.ws_url}/ws/tracking/{task_id}"
        async with connect_async(url, open_timeout=PATIENCE_S) as client:
            return json.loads(await client.recv())["type"]

    coming = [asyncio.create_task(come()) for _ in range(AT_ONCE)]
    for index in range(20):
        await asyncio.to_thread(app.worker.publish, task_id, index, with_pictures=False)
        await asyncio.sleep(0.1)
    return Counter(await asyncio.gather(*coming))
