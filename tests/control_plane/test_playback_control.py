"""Playback over REST and WebSocket: who is told what, and who wins."""

import json

import msgspec
import pytest

from control_plane.store import Store
from plugins.messages import (
    REPLAY_REQUESTS,
    Playback,
    PlaybackCommand,
    PlaybackControls,
    PlaybackFrame,
    commands_list,
    playback_key,
    replay_commands_list,
    replay_frames_stream,
    replay_key,
    replay_tracks_stream,
)
from plugins.wire import decode_set, encode_set
from tests.control_plane.serving import pictures, update_of
from tests.control_plane.test_live import (
    follow_stream,
    next_of,
    next_set,
    opened,
    rest_of,
    run,
)
from tests.waiting import wait_until

CONTROLS = "/api/v1/tracking/controls"
START, END = "2024-05-01T09:00:00.000000Z", "2024-05-01T09:01:00.000000Z"


def playing(app, task_id, at="2024-05-01T09:00:30.000000Z", mode="live", state="playing"):
    """What the worker, or a replay, says of itself."""
    playback = Playback(mode, state, 1.0, 0.5, at, 300, START, END, 60.0)
    key = replay_key(task_id) if mode == "replay" else playback_key(task_id)
    app.worker.redis.set(key, msgspec.json.encode(playback), ex=60)


def commands(app, key):
    found = app.worker.redis.lrange(key, 0, -1)
    return [msgspec.json.decode(text, type=PlaybackCommand) for text in found]


def replayed(app, task_id, index):
    """One set of a replay, in both streams."""
    controls = PlaybackControls(index / 600, 60.0, can_seek=True)
    update = update_of(index)
    frame = PlaybackFrame(update.timestamp_media_utc, 1.0, update, controls)
    message = encode_set(
        index, 0, msgspec.json.encode(update), pictures(index), 80, is_incomplete=False
    )
    json_text = msgspec.json.encode(frame)
    app.worker.redis.xadd(replay_tracks_stream(task_id), {"json": json_text}, maxlen=9)
    app.worker.redis.xadd(replay_frames_stream(task_id), {"set": message}, maxlen=9)
    return message


def know_of_replay(client):
    """Waits until the client's control plane knows that a replay is on."""
    while not (playback := next_of(client, "status_update")["payload"]["playback"]) or (
        playback["mode"] != "replay"
    ):
        pass


def over(app, task_id, why=""):
    for key in (replay_tracks_stream(task_id), replay_frames_stream(task_id)):
        app.worker.redis.xadd(key, {"over": why})
    app.worker.redis.delete(replay_key(task_id))


def test_commands_reach_the_worker_in_order(app):
    """Of two who fight, the last wins; both names are on record."""
    task_id = app.start()
    playing(app, task_id)
    assert app.http.post(f"{CONTROLS}/{task_id}/pause").status_code == 202
    with opened(app, task_id) as client:
        client.send(json.dumps({"type": "play"}))
        client.send(json.dumps({"type": "speed", "speed": 2}))
        wait_until(lambda: len(commands(app, commands_list(task_id))) == 3)
    told = commands(app, commands_list(task_id))
    assert [(c.type, c.speed, c.by) for c in told] == [
        ("pause", None, "anonymous"),
        ("play", None, "anonymous"),
        ("speed", 2.0, "anonymous"),
    ]


def test_everybody_sees_the_new_state_at_once(app):
    """A change of the buttons is a status_update for all viewers, on whichever replica."""
    task_id = app.start()
    playing(app, task_id)
    with opened(app, task_id) as one, opened(app, task_id, "frames") as two:
        next_of(one, "connection_established")
        next_of(two, "connection_established")
        playing(app, task_id, state="paused")
        for client in (one, two):
            while next_of(client, "status_update")["payload"]["playback"]["state"] != "paused":
                pass


def test_seeking_ahead_is_the_workers_and_seeking_back_a_replay(app):
    task_id = app.start()
    playing(app, task_id)
    assert app.http.post(f"{CONTROLS}/{task_id}/seek", json={"position": 0.75}).status_code == 202
    [ahead] = commands(app, commands_list(task_id))
    assert ahead.time_ns == 1_714_554_045_000_000_000
    back = {"timestamp": "2024-05-01T09:00:10Z"}
    assert app.http.post(f"{CONTROLS}/{task_id}/seek", json=back).status_code == 202
    assert [c.type for c in commands(app, replay_commands_list(task_id))] == ["seek"]
    assert task_id.encode() in app.worker.redis.lrange(REPLAY_REQUESTS, 0, -1)
    state = app.http.get(f"{CONTROLS}/{task_id}").json()
    assert (state["mode"], state["state"]) == ("replay", "seeking")
    app.http.post(f"{CONTROLS}/{task_id}/pause")  # now the replay's
    assert [c.type for c in commands(app, replay_commands_list(task_id))] == ["seek", "pause"]
    assert len(commands(app, commands_list(task_id))) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"timestamp": "2024-05-01T09:02:00Z"}, "seek_out_of_range"),
        ({"timestamp": "2024-05-01T08:59:59Z"}, "seek_out_of_range"),
        ({"position": 1.5}, "validation_failed"),
        ({}, "validation_failed"),
        ({"position": 0.5, "timestamp": "2024-05-01T09:00:10Z"}, "validation_failed"),
    ],
)
def test_a_senseless_seek_is_refused(app, body, code):
    task_id = app.start()
    playing(app, task_id)
    answer = app.http.post(f"{CONTROLS}/{task_id}/seek", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_senseless_commands_over_the_socket_are_errors_and_the_connection_stays(app):
    task_id = app.start()
    playing(app, task_id)
    with opened(app, task_id) as client:
        for message in (
            {"type": "seek"},
            {"type": "seek", "position": "x"},
            {"type": "speed", "speed": 9},
            {"type": "speed"},
        ):
            client.send(json.dumps(message))
            assert next_of(client, "error")["payload"]["code"] == "invalid_message"
        client.send(json.dumps({"type": "seek", "timestamp": "2030-01-01T00:00:00Z"}))
        assert next_of(client, "error")["payload"]["code"] == "seek_out_of_range"
        client.send(json.dumps({"type": "ping"}))
        assert next_of(client, "pong")


def test_a_task_without_a_set_cannot_be_played(app):
    task_id = app.start()
    answer = app.http.get(f"{CONTROLS}/{task_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "task_not_playing")


def test_an_ended_task_is_replayed_for_those_who_stay(app):
    """Its whole recording can be sought though its worker has been forgotten."""
    task_id = app.start(cameras=["h1", "h2"])

    async def end():
        store = Store(app.settings.database_url)
        async with store.connection() as connection:
            await connection.execute(
                "update tasks set status = 'COMPLETED', frame_index = 599 where task_id = $1",
                task_id,
            )
        await store.close()

    run(end)
    with opened(app, task_id, query="?replay=true") as stays, opened(app, task_id) as leaves:
        assert rest_of(leaves)[1] == 1000
        stays.send(json.dumps({"type": "seek", "position": 0.25}))
        wait_until(lambda: app.worker.redis.exists(replay_commands_list(task_id)))
        [command] = commands(app, replay_commands_list(task_id))
        assert command.time_ns == 1_714_554_015_000_000_000
        playing(app, task_id, mode="replay")
        know_of_replay(stays)
        replayed(app, task_id, 150)
        frame = next_of(stays, "playback_frame")["payload"]
        assert frame["frame_data"]["global_frame_index"] == 150
        assert frame["playback_controls"] == {"position": 0.25, "duration": 60.0, "can_seek": True}
        replayed(app, task_id, 20)  # back in time
        assert next_of(stays, "playback_frame")["payload"]["frame_data"]["global_frame_index"] == 20
        over(app, task_id)
        while next_of(stays, "status_update")["payload"]["playback"]:
            pass


def test_during_a_replay_viewers_get_it_instead_of_live_sets(app):
    """Each change of what is shown is announced; afterwards the newest live set comes at once."""
    task_id = app.start()
    app.worker.publish(task_id, 100)
    with opened(app, task_id, "frames") as client:
        assert next_of(client, "frame_sync")["payload"]["reason"] == "start"
        next_set(client)
        playing(app, task_id, mode="replay")
        know_of_replay(client)
        message = replayed(app, task_id, 7)
        assert next_of(client, "frame_sync")["payload"]["mode"] == "replay"
        assert next_set(client) == message
        live = app.worker.publish(task_id, 101)
        second = replayed(app, task_id, 8)
        assert next_set(client) == second
        over(app, task_id)
        assert next_of(client, "frame_sync")["payload"]["mode"] == "live"
        received = next_set(client)
        assert received == live
        assert decode_set(received).frame_index == 101


def test_whoever_comes_while_a_replay_stands_still_sees_its_set(app):
    """After the newest live set; nothing new is shown while it is paused."""
    task_id = app.start()
    app.worker.publish(task_id, 100)
    playing(app, task_id, mode="replay", state="paused")
    message = replayed(app, task_id, 7)
    with opened(app, task_id, "frames") as client:
        while (shown := next_set(client)) != message:
            assert decode_set(shown).frame_index == 100
    over(app, task_id)


def test_a_replay_that_fails_says_why(app):
    task_id = app.start()
    with opened(app, task_id) as client:
        follow_stream(app, task_id, client)
        over(app, task_id, "no camera could be played")
        error = next_of(client, "error")["payload"]
        assert error == {"code": "replay_failed", "message": "no camera could be played"}
