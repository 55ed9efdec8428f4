"""Who may press the buttons."""

import json

from websockets.sync.client import connect

from plugins.messages import commands_list
from tests.control_plane.people import admin_of, running_secured, user_of
from tests.control_plane.test_live import next_of
from tests.control_plane.test_playback_control import commands, playing
from tests.waiting import PATIENCE_S, wait_until


def test_viewers_may_look_and_operators_may_play(tmp_path):
    """A viewer is told why not, over REST and WebSocket, and the connection stays."""
    with running_secured(tmp_path) as app:
        body = {"environment_id": "hall"}
        start = "/api/v1/processing-tasks/start"
        task_id = app.http.post(start, json=body, headers=admin_of(app)).json()["task_id"]
        url = f"/api/v1/tracking/controls/{task_id}/pause"
        viewer, operator = user_of(app, "vera"), user_of(app, "otto", "operator")
        assert app.http.post(url, headers=viewer).json()["error"]["code"] == "not_allowed"
        assert app.http.post(url, headers=operator).json()["error"]["code"] == "task_not_playing"
        for headers, code in ((viewer, "not_allowed"), (operator, "task_not_playing")):
            address = f"{app.ws_url}/ws/tracking/{task_id}"
            with connect(address, open_timeout=PATIENCE_S, additional_headers=headers) as client:
                client.send(json.dumps({"type": "pause"}))
                assert next_of(client, "error")["payload"]["code"] == code
                client.send(json.dumps({"type": "ping"}))
                assert next_of(client, "pong")


def test_two_who_press_against_each_other_are_obeyed_in_turn_by_name(tmp_path):
    """Nothing is merged or lost: the last command wins, and whose each was is on record."""
    with running_secured(tmp_path) as app:
        body = {"environment_id": "hall"}
        start = "/api/v1/processing-tasks/start"
        task_id = app.http.post(start, json=body, headers=admin_of(app)).json()["task_id"]
        playing(app, task_id)
        address = f"{app.ws_url}/ws/tracking/{task_id}"
        ada, ben = user_of(app, "ada", "operator"), user_of(app, "ben", "operator")
        told = []
        with (
            connect(address, open_timeout=PATIENCE_S, additional_headers=ada) as one,
            connect(address, open_timeout=PATIENCE_S, additional_headers=ben) as two,
        ):
            for _ in range(3):
                for client, name, kind in ((one, "ada", "pause"), (two, "ben", "play")):
                    client.send(json.dumps({"type": kind}))
                    told.append((name, kind))
                    wait_until(lambda: len(commands(app, commands_list(task_id))) == len(told))
        found = commands(app, commands_list(task_id))
        assert [(command.by, command.type) for command in found] == told
