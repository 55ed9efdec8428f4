"""Pictures over REST: the right camera, drawn over when asked, cached by their tag."""

import time
import uuid

import cv2
import numpy as np

from plugins.wire import decode_set
from tests.control_plane.serving import box_at, pictures
from tests.waiting import wait_until

MEDIA = "/api/v1/media"
PERSON = str(uuid.uuid5(uuid.NAMESPACE_DNS, "person 2"))


def picture_of(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)


def clients(app):
    lines = app.http.get("/metrics").text.splitlines()
    found = [x for x in lines if x.startswith('spoton_websocket_clients{kind="frames"}')]
    return float(found[0].split()[1]) if found else 0.0


def test_a_raw_picture_is_the_workers_own_and_is_not_sent_twice(app):
    task_id = app.start()
    jpegs = decode_set(app.worker.publish(task_id, 5)).jpegs
    url = f"{MEDIA}/frames/{task_id}/h2/raw"
    answer = app.http.get(url)
    assert answer.content == jpegs["h2"]
    assert answer.headers["cache-control"] == "private, no-cache"
    again = app.http.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    app.worker.publish(task_id, 6)
    newer = app.http.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert newer.status_code == 200
    older = app.http.get(url, params={"frame_index": 5})
    assert older.content == jpegs["h2"]
    assert "immutable" in older.headers["cache-control"]


def test_an_overlay_is_drawn_where_the_metadata_has_it(app):
    """On the box's edge pixels differ from the plain picture, away from it they do not."""
    task_id = app.start()
    for index in range(20, 26):
        app.worker.publish(task_id, index)
    plain = picture_of(app.http.get(f"{MEDIA}/frames/{task_id}/h1/raw")).astype(int)
    drawn = picture_of(app.http.get(f"{MEDIA}/frames/{task_id}/h1")).astype(int)
    assert plain.shape == drawn.shape
    x1, y1, _, y2 = (int(v) for v in box_at(2, 25, 0))
    difference = np.abs(plain - drawn).max(axis=2)
    assert difference[(y1 + y2) // 2, x1 - 1 : x1 + 2].max() > 60
    assert np.median(difference) < 10


def test_the_style_of_overlays_is_the_callers(app):
    task_id = app.start()
    app.worker.publish(task_id, 25)
    nothing = {"boxes": False, "ids": False, "trail": False}
    url = f"{MEDIA}/frames/overlay-config"
    try:
        assert app.http.post(url, json=nothing).json()["boxes"] is False
        plain = picture_of(app.http.get(f"{MEDIA}/frames/{task_id}/h1/raw")).astype(int)
        drawn = picture_of(app.http.get(f"{MEDIA}/frames/{task_id}/h1")).astype(int)
        assert np.abs(plain - drawn).max() < 40  # encoded again, nothing drawn in
        wrong = app.http.post(url, json={"line_px": "thick"})
        assert wrong.status_code == 400
    finally:
        app.http.post(url, json={})
    assert app.http.get(url).json()["boxes"] is True


def test_a_mosaic_shows_all_cameras_of_one_set(app):
    task_id = app.start()
    app.worker.publish(task_id, 3)
    url = f"{MEDIA}/frames/{task_id}/multi-camera"
    whole = picture_of(app.http.get(url, params={"overlay": "false"})).astype(int)
    assert whole.shape == (720, 1280, 3)
    first = pictures(3)["h1"]
    alone = cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert np.abs(whole[:360, :640] - alone).mean() < 6


def test_what_is_not_there_is_named(app):
    task_id = app.start()
    nothing = app.http.get(f"{MEDIA}/frames/{task_id}/h1/raw")
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "picture_not_found")
    app.worker.publish(task_id, 3)
    for path in (f"frames/{task_id}/h9", f"frames/{task_id}/h1/raw?frame_index=77"):
        answer = app.http.get(f"{MEDIA}/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "picture_not_found")
    stranger = app.http.get(f"{MEDIA}/persons/{uuid.uuid4()}/image", params={"task_id": task_id})
    assert stranger.json()["error"]["code"] == "picture_not_found"
    assert app.http.get(f"{MEDIA}/persons/nobody/image").status_code == 404


def test_a_person_is_cut_from_the_best_live_picture(app):
    """As large as one of the person's boxes, and the same as long as nothing better comes."""
    task_id = app.start()
    for index in range(4):
        app.worker.publish(task_id, index)
    url = f"{MEDIA}/persons/{PERSON}/image"
    answer = app.http.get(url, params={"task_id": task_id})
    height, width = picture_of(answer).shape[:2]
    boxes = [box_at(2, index, c) for index in range(4) for c in range(4)]
    sizes = [(x2 - x1, min(y2, 360) - max(y1, 0)) for x1, y1, x2, y2 in boxes]
    assert any(abs(width - w) < 3 and abs(height - h) < 3 for w, h in sizes)
    tag = {"If-None-Match": answer.headers["etag"]}
    assert app.http.get(url, params={"task_id": task_id}, headers=tag).status_code == 304


def test_a_stream_sends_picture_after_picture_and_frees_everything_when_left(app):
    task_id = app.start()
    before = clients(app)
    with app.http.stream("GET", f"/api/v1/stream/{task_id}/h3") as answer:
        assert "multipart/x-mixed-replace; boundary=" in answer.headers["content-type"]
        boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
        wait_until(lambda: clients(app) == before + 1)
        wanted = decode_set(app.worker.publish(task_id, 0)).jpegs["h3"]
        received = b""
        for chunk in answer.iter_bytes():
            received += chunk
            if received.count(b"\xff\xd9\r\n") >= 1:
                break
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"--" + boundary)
        assert body.startswith(wanted)
    for index in range(1, 200):
        app.worker.publish(task_id, index)
        if clients(app) == before:
            break
        time.sleep(0.05)
    assert clients(app) == before


def test_a_stream_ends_with_its_task(app):
    task_id = app.start()
    app.worker.publish(task_id, 0)
    app.http.post(f"/api/v1/processing-tasks/{task_id}/stop")
    answer = app.http.get(f"/api/v1/stream/{task_id}/h1", params={"overlay": "true"})
    assert answer.status_code == 200
    assert answer.content.count(b"Content-Type: image/jpeg") == 1
