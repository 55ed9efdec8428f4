"""Who may press the buttons."""

import json

from websockets.sync.client import connect

from tests.control_plane.people import admin_of, running_secured, user_of
from tests.control_plane.test_live import next_of


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
            with connect(address, additional_headers=headers) as client:
                client.send(json.dumps({"type": "pause"}))
                assert next_of(client, "error")["payload"]["code"] == code
                client.send(json.dumps({"type": "ping"}))
                assert next_of(client, "pong")
