"""The existing frontend's whole session over the real parts, in the order its pages call."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.blob_world import CAMERAS, FRAMES, make_blob_world
from tests.control_plane import frontend_shapes as shapes
from tests.stack import Stack, data_folder, running_stack
from tests.triton_fixtures import require_triton
from tests.waiting import PATIENCE_S, wait_until

TASKS = "/api/v1/detection-processing-tasks"
ORIGIN = "http://localhost:5173"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """``spoton up`` with the generated world, as the demo starts it."""
    require_triton()
    world = make_blob_world(tmp_path_factory.mktemp("blobs"))
    with data_folder() as folder, running_stack(world.settings(), folder) as running:
        yield running


class Page:
    """A page of the frontend: it sends no token, and reads only the shapes of the contract."""

    def __init__(self, stack: Stack) -> None:
        self.http = httpx.Client(
            base_url=stack.address, headers={"Origin": ORIGIN}, timeout=PATIENCE_S
        )
        self._sockets = stack.websocket

    def ask(self, method: str, path: str, shape: Any, **more: Any) -> Any:
        """A call that has to succeed."""
        answer = self.http.request(method, path, **more)
        assert answer.is_success, answer.text
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        return msgspec.json.decode(answer.content, type=shape)

    def controls(self, task_id: str, action: str, **body: Any) -> shapes.Controls:
        """One of the buttons."""
        method = "GET" if action == "status" else "POST"
        path = f"/api/v1/controls/{task_id}/{action}"
        return self.ask(method, path, shapes.Controls, json=body or None)

    def open(self, kind: str, task_id: str) -> ClientConnection:
        """A WebSocket of this tab."""
        url = f"{self._sockets}/ws/{kind}/{task_id}?tab_id=tab_1"
        return connect(url, origin=ORIGIN, max_size=None, open_timeout=PATIENCE_S)


def next_of(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while (message := json.loads(socket.recv(timeout=PATIENCE_S)))["type"] != kind:
        pass
    return dict(message)


def next_camera(socket: ClientConnection) -> shapes.CameraUpdate:
    return msgspec.convert(next_of(socket, "tracking_update"), shapes.CameraUpdate, strict=False)


def test_a_session_from_the_picker_to_the_clean_up(stack):
    page = Page(stack)
    assert page.http.get("/health").json()["status"] == "healthy"
    listed = page.ask("GET", f"{TASKS}/environments", shapes.DetectionEnvironments).environments
    [cameras] = [e.cameras for e in listed if e.environment_id == "blobs"]
    assert cameras == list(CAMERAS)
    assert page.ask("GET", TASKS, shapes.TaskList).data.tasks == []

    task_id = page.ask(
        "POST", f"{TASKS}/start", shapes.Started, json={"environment_id": "blobs"}
    ).task_id
    status = f"{TASKS}/{task_id}/status"
    wait_until(lambda: page.http.get(status).json()["status"] == "PROCESSING")

    with page.open("tracking", task_id) as tracking, page.open("focus", task_id) as focus:
        tracking.send(json.dumps({"type": "subscribe_tracking"}))
        person, where = _first_person(tracking)
        seen = {next_camera(tracking).camera_id for _ in range(2 * len(cameras))}
        assert seen == set(cameras)

        assert page.controls(task_id, "pause").state == "paused"
        held = page.controls(task_id, "status")
        assert (held.state, held.total_frames) == ("paused", FRAMES)

        focus.send(json.dumps({"type": "set_focus", "person_id": person, "person_details": {
            "camera_id": where, "track_id": 1, "detection_id": "x",
            "bbox": {"x1": 0, "y1": 0, "x2": 1, "y2": 1}, "confidence": 0.5}}))  # fmt: skip
        told = msgspec.convert(next_of(focus, "focus_update")["payload"], shapes.Focus)
        assert (told.is_active, told.focused_person_id) == (True, person)
        assert told.person_details.current_camera in cameras

        assert page.controls(task_id, "resume").state == "playing"
        ahead = page.controls(task_id, "status").last_frame_index + 15
        page.controls(task_id, "seek", frame_index=ahead)
        while (update := next_camera(tracking)).global_frame_index < ahead:
            pass
        assert update.camera_data.frame_width == 640
        _first_picture(page, task_id, cameras[0])

        cleaned = page.ask("DELETE", f"{TASKS}/environment/blobs/cleanup", shapes.Cleaned)
        assert "1 task" in cleaned.data.message
        with suppress(ConnectionClosed):
            while True:
                tracking.recv(timeout=PATIENCE_S)
        assert tracking.protocol.close_code == 1000
    wait_until(lambda: page.http.get(status).json()["status"] == "STOPPED")
    assert page.controls(task_id, "status").state == "stopped"


def _first_person(tracking: ClientConnection) -> tuple[str, str]:
    """The first who has a global id, and the camera that sees them."""
    while True:
        update = next_camera(tracking)
        for track in update.camera_data.tracks:
            if track.global_id is not None:
                return track.global_id, update.camera_id


def _first_picture(page: Page, task_id: str, camera_id: str) -> None:
    """The ``<img>`` of a camera: a JPEG arrives, and another page may draw it."""
    path = f"/api/v1/stream/{task_id}/{camera_id}?t=1"
    with page.http.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        received = b""
        for chunk in answer.iter_bytes():
            received += chunk
            if b"\xff\xd8" in received:
                return
    raise AssertionError("no picture came")
