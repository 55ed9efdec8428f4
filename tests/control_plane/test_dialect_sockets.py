"""The existing frontend's WebSockets: a message a camera, one tab a task, focus in its words."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from websockets.sync.client import ClientConnection, connect

from control_plane.dialect.messages import FocusTarget, PastSets, SetFocus, global_id_of
from control_plane.errors import PersonNotFoundError
from plugins.messages import (
    CameraTracks,
    Playback,
    PlaybackCommand,
    commands_list,
    playback_key,
)
from tests.control_plane import frontend_shapes as shapes
from tests.control_plane.serving import Running, media_time, running_app, update_of
from tests.control_plane.test_live import next_of, rest_of, say
from tests.control_plane.test_playback_control import know_of_replay, over, playing, replayed
from tests.waiting import PATIENCE_S

CONTROLS = "/api/v1/controls"
START, END = "2024-05-01T09:00:00.000000Z", "2024-05-01T09:01:00.000000Z"


def tab(
    app: Running, task_id: str, name: str = "tab_1", kind: str = "tracking"
) -> ClientConnection:
    return connect(
        f"{app.ws_url}/ws/{kind}/{task_id}?tab_id={name}", max_size=None, open_timeout=PATIENCE_S
    )


def next_cameras(client: ClientConnection, count: int = 4) -> list[shapes.CameraUpdate]:
    """The next messages about cameras, each checked against the contract's shape."""
    found = [json.dumps(next_of(client, "tracking_update")) for _ in range(count)]
    return [msgspec.json.decode(text, type=shapes.CameraUpdate) for text in found]


def cameras_of_set(client: ClientConnection, index: int) -> list[shapes.CameraUpdate]:
    """The messages about one set's cameras; a tab too slow for it may be spared earlier sets."""
    while (first := next_cameras(client, 1)[0]).global_frame_index != index:
        pass
    return [first, *next_cameras(client, 3)]


def next_focus(client: ClientConnection) -> shapes.Focus:
    return msgspec.convert(next_of(client, "focus_update")["payload"], shapes.Focus)


@contextmanager
def subscribed(app: Running, task_id: str, name: str = "tab_1") -> Iterator[ClientConnection]:
    """A tab that has asked for tracking, and whose request has been heard."""
    with tab(app, task_id, name) as client:
        next_of(client, "connection_established")
        say(client, "subscribe_tracking")
        say(client, "ping")
        next_of(client, "pong")
        yield client


def test_nothing_of_a_set_comes_before_it_is_asked_for(app):
    task_id = app.start()
    with tab(app, task_id) as client:
        next_of(client, "connection_established")
        app.worker.publish(task_id, 0, with_pictures=False)
        say(client, "ping")
        assert next_of(client, "pong")
        say(client, "subscribe_tracking")
        assert [u.global_frame_index for u in next_cameras(client)] == [0, 0, 0, 0]


def test_each_camera_of_a_set_is_a_message_of_its_own(app):
    """Everything in it is what the tracker said of that camera."""
    task_id = app.start()
    with subscribed(app, task_id) as client:
        app.worker.publish(task_id, 3, with_pictures=False)
        told = next_cameras(client)
    update = update_of(3)
    assert [u.camera_id for u in told] == list(update.cameras)
    for message in told:
        view = update.cameras[message.camera_id]
        assert (message.task_id, message.camera_data.frame_width) == (task_id, 640)
        shown = zip(
            view.tracks, message.camera_data.tracks, message.detection_data.detections,
            message.future_pipeline_data.mapping_coordinates, strict=True,
        )  # fmt: skip
        for track, of_camera, detection, on_map in shown:
            x1, y1, x2, y2 = track.bbox_xyxy
            assert of_camera.bbox_xyxy == track.bbox_xyxy
            assert (of_camera.track_id, of_camera.global_id) == (track.track_id, track.global_id)
            assert detection.bbox.width == pytest.approx(x2 - x1)
            assert detection.bbox.center_y == pytest.approx((y1 + y2) / 2)
            assert (on_map.foot_point.image_x, on_map.foot_point.image_y) == ((x1 + x2) / 2, y2)
            assert (on_map.map_x, on_map.map_y) == pytest.approx(track.map_coords)
            assert of_camera.detection_id == detection.detection_id == on_map.detection_id
        ids = [t.detection_id for t in message.camera_data.tracks]
        assert len(set(ids)) == len(ids)


def test_trails_lead_back_from_now(app):
    """Newest first, each point with how many sets ago it was."""
    task_id = app.start()
    with subscribed(app, task_id) as client:
        for index in range(4, 7):
            app.worker.publish(task_id, index, with_pictures=False)
            told = next_cameras(client)
    for message in told:
        for shown in message.future_pipeline_data.mapping_coordinates:
            track = shown.detection_id.rpartition("_")[2]
            assert [p.frame_offset for p in shown.trail] == [0, -1, -2]
            for point in shown.trail:
                then = update_of(6 + point.frame_offset).cameras[message.camera_id].tracks
                [was] = [t.map_coords for t in then if t.track_id == int(track)]
                assert (point.x, point.y) == pytest.approx(was)
                assert point.timestamp.timestamp() * 1e9 == pytest.approx(
                    media_time(6 + point.frame_offset), abs=1e3
                )


def test_trails_do_not_jump_with_a_seek():
    """After a set that lies before the last one, they begin anew."""
    past = PastSets()
    for index in (7, 8, 2):
        past.add(update_of(index))
    assert [p.frame_offset for p in past.trail("h1", 2)] == [0]
    past.add(update_of(3))
    assert [p.frame_offset for p in past.trail("h1", 2)] == [0, -1]


def test_whom_no_floor_position_is_known_of_is_not_put_on_the_map(app):
    update = update_of(1)
    lost = {
        camera_id: msgspec.structs.replace(
            view, tracks=[msgspec.structs.replace(t, map_coords=None) for t in view.tracks]
        )
        for camera_id, view in update.cameras.items()
    }
    task_id = app.start()
    with subscribed(app, task_id) as client:
        body = msgspec.json.encode(msgspec.structs.replace(update, cameras=lost))
        app.worker.redis.xadd(f"spoton:task:{task_id}:tracks", {"json": body}, id="2-0")
        for message in next_cameras(client):
            for detection in message.detection_data.detections:
                assert detection.map_coords is None
            for shown in message.future_pipeline_data.mapping_coordinates:
                assert (shown.projection_successful, shown.map_x, shown.trail) == (False, None, [])


def test_without_tab_id_it_is_the_products_own_message(app):
    task_id = app.start()
    with connect(f"{app.ws_url}/ws/tracking/{task_id}", open_timeout=PATIENCE_S) as client:
        app.worker.publish(task_id, 0, with_pictures=False)
        assert "cameras" in next_of(client, "tracking_update")["payload"]


def test_a_second_tab_closes_the_first(app):
    """With the code and the reason that the frontend knows; other tasks' tabs stay."""
    task_id, other = app.start(), app.start()
    with subscribed(app, other, "tab_0") as elsewhere, subscribed(app, task_id) as first:
        with subscribed(app, task_id, "tab_2") as second:
            _, code = rest_of(first)
            assert (code, first.protocol.close_reason) == (1000, "New tab connected")
            app.worker.publish(task_id, 5, with_pictures=False)
            assert next_cameras(second)[0].global_frame_index == 5
        say(elsewhere, "ping")
        assert next_of(elsewhere, "pong")


def test_a_second_tab_on_another_replica_closes_the_first_too(app, tmp_path):
    task_id = app.start()
    shared = {"database_url": app.settings.database_url, "redis_url": app.settings.redis_url}
    with (
        running_app(tmp_path, **shared) as other,
        subscribed(app, task_id) as first,
        subscribed(other, task_id, "tab_2") as second,
    ):
        _, code = rest_of(first)
        assert (code, first.protocol.close_reason) == (1000, "New tab connected")
        say(second, "ping")
        assert next_of(second, "pong")


def test_a_tab_follows_a_replay(app):
    """What is shown again comes in the same shape, with the indices of then."""
    task_id = app.start()
    with subscribed(app, task_id) as client:
        app.worker.publish(task_id, 40, with_pictures=False)
        next_cameras(client)
        playing(app, task_id, mode="replay")
        know_of_replay(client)
        replayed(app, task_id, 9)
        assert {u.global_frame_index for u in next_cameras(client)} == {9}
        over(app, task_id)


def test_an_unknown_task_is_refused(app):
    with tab(app, "00000000-0000-0000-0000-000000000000") as client:
        messages, code = rest_of(client)
    assert ([m["type"] for m in messages], code) == (["error"], 4404)


def test_a_page_of_another_site_may_not_watch(app):
    with connect(
        f"{app.ws_url}/ws/tracking/{app.start()}?tab_id=x", origin="http://evil.example"
    ) as client:
        assert rest_of(client)[1] == 4403
    with connect(
        f"{app.ws_url}/ws/tracking/{app.start()}?tab_id=x", origin="http://localhost:5173"
    ) as client:
        assert next_of(client, "connection_established")


def test_focus_is_answered_with_where_the_person_is(app):
    """By global id; marked in every camera's message; cleared again."""
    task_id = app.start()
    app.worker.publish(task_id, 2, with_pictures=False)
    track = update_of(2).cameras["h1"].tracks[0]
    details = {"camera_id": "h1", "track_id": track.track_id, "detection_id": "d",
               "bbox": {"x1": 1, "y1": 2, "x2": 3, "y2": 4}, "confidence": 0.9}  # fmt: skip
    with tab(app, task_id, kind="focus") as focus, subscribed(app, task_id) as client:
        next_of(focus, "connection_established")
        focus.send(json.dumps({"type": "set_focus", "person_id": track.global_id,
                               "person_details": details}))  # fmt: skip
        told = next_focus(focus)
        assert (told.is_active, told.focused_person_id) == (True, track.global_id)
        assert told.person_details.camera_id == told.person_details.current_camera == "h1"
        assert (told.person_details.track_id, told.person_details.detection_id) == (
            track.track_id, f"h1_{track.track_id}",
        )  # fmt: skip
        x1, y1, x2, y2 = track.bbox_xyxy
        assert told.person_details.bbox == shapes.Corners(x1, y1, x2, y2)
        index, marked = 2, set()
        while not marked:  # a choice may take half a second to be known
            index += 1
            app.worker.publish(task_id, index, with_pictures=False)
            cameras = cameras_of_set(client, index)
            marked = {t.global_id for u in cameras for t in u.camera_data.tracks if t.is_focused}
        assert marked == {track.global_id}
        for _ in range(2):  # each is answered, though the second changes nothing
            say(focus, "clear_focus")
            while (gone := next_focus(focus)).is_active:
                pass
            assert (gone.focused_person_id, gone.person_details) == (None, None)


def test_a_track_may_be_named_by_its_camera_and_number():
    """The frontend has names of its own for tracks; who has no global id cannot be followed."""
    update = update_of(0)
    track = update.cameras["h2"].tracks[1]
    named = SetFocus("camera:h2:3 ", FocusTarget("h2", track.track_id))
    assert global_id_of(named, update) == track.global_id
    nameless = msgspec.structs.replace(track, global_id=None)
    alone = msgspec.structs.replace(update, cameras={"h2": CameraTracks("", 9, 9, [nameless])})
    for message, seen in (
        (named, alone),
        (named, None),
        (SetFocus("x"), update),
        (SetFocus("x", FocusTarget("h9", 1)), update),
    ):
        with pytest.raises(PersonNotFoundError, match="nobody is known as"):
            global_id_of(message, seen)


def test_whom_nobody_knows_is_an_error_and_the_socket_stays(app):
    task_id = app.start()
    with tab(app, task_id, kind="focus") as focus:
        next_of(focus, "connection_established")
        focus.send(json.dumps({"type": "set_focus", "person_id": "camera:h1:99 "}))
        assert next_of(focus, "error")["payload"]["code"] == "person_not_found"
        focus.send(b"\xff{")
        assert next_of(focus, "error")["payload"]["code"] == "invalid_message"
        say(focus, "ping")
        assert next_of(focus, "pong")


class ObedientWorker(threading.Thread):
    """Does what playback commands say, as a worker does, and tells how it plays."""

    def __init__(self, app: Running, task_id: str) -> None:
        super().__init__()
        self._redis, self._task_id = app.worker.redis, task_id
        self._changes = 0
        self.seen: list[PlaybackCommand] = []
        self._is_over = threading.Event()
        self._tell("playing", 300)

    def run(self) -> None:
        """Until it is stopped."""
        while not self._is_over.wait(0.02):
            text: Any = self._redis.lpop(commands_list(self._task_id))
            if text is not None:
                self._obey(msgspec.json.decode(text, type=PlaybackCommand))

    def stop(self) -> None:
        self._is_over.set()
        self.join()

    def _obey(self, command: PlaybackCommand) -> None:
        self.seen.append(command)
        index = 450 if command.type == "seek" else 300
        self._tell("paused" if command.type == "pause" else "playing", index)

    def _tell(self, state: Any, index: int) -> None:
        self._changes += 1
        at = f"2026-01-01T12:00:0{self._changes}.000000Z"
        now = "2024-05-01T09:00:30.000000Z"
        playback = Playback("live", state, 1.0, 0.5, now, index, START, END, 60.0,
                            last_transition_at=at)  # fmt: skip
        self._redis.set(playback_key(self._task_id), msgspec.json.encode(playback), ex=60)


def controls(app: Running, method: str, path: str, **more: Any) -> shapes.Controls:
    answer = app.http.request(method, f"{CONTROLS}/{path}", **more)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=shapes.Controls)


def test_controls_answer_with_the_state_that_follows(app):
    """The frontend shows what it is answered, and asks no more."""
    task_id = app.start()
    before = controls(app, "GET", f"{task_id}/status")
    assert (before.state, before.total_frames) == ("stopped", None)
    worker = ObedientWorker(app, task_id)
    worker.start()
    try:
        playing_now = controls(app, "GET", f"{task_id}/status")
        assert (playing_now.state, playing_now.last_frame_index) == ("playing", 300)
        assert playing_now.total_frames == 600  # a minute of ten sets a second
        paused = controls(app, "POST", f"{task_id}/pause")
        assert paused.state == "paused"
        assert paused.last_transition_at > playing_now.last_transition_at
        assert controls(app, "POST", f"{task_id}/resume").state == "playing"
        ahead = controls(app, "POST", f"{task_id}/seek", json={"frame_index": 450})
        assert ahead.last_frame_index == 450
    finally:
        worker.stop()
    assert [c.type for c in worker.seen] == ["pause", "play", "seek"]
    assert worker.seen[-1].time_ns == media_time(450)
    beyond = app.http.post(f"{CONTROLS}/{task_id}/seek", json={"frame_index": 601})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (400, "seek_out_of_range")
    for body in ({}, {"frame_index": 1, "position": 0.5}, {"frame_index": -1}):
        assert app.http.post(f"{CONTROLS}/{task_id}/seek", json=body).status_code == 400
