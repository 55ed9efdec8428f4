"""What is drawn agrees with the message, and what is clicked reaches the server."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocketRoute

from tests.blob_world import FRAMES
from tests.live_page.browsing import grey, pixels, shown, until, watch
from tests.recordings import read_number
from tests.stack import Stack
from tests.waiting import PATIENCE_S, wait_until

RED, BLUE = (220, 40, 40), (40, 70, 220)


@pytest.fixture(scope="module")
def held_task(stack: Stack, ended_task: str) -> Iterator[str]:  # the worker does one at a time
    """A task that stands still at a set in which both figures are named."""
    task_id = stack.start_task(environment_id="blobs", speed=0.25)
    persons = f"/processing-tasks/{task_id}/active-persons"
    wait_until(lambda: stack.api.get(persons).json()["total"] == 2)
    stack.api.post(f"/tracking/controls/{task_id}/pause")
    stack.wait(task_id, lambda s: s["playback"]["state"] == "paused")
    yield task_id
    stack.api.post(f"/processing-tasks/{task_id}/stop")
    stack.wait(task_id)


@pytest.fixture
def two_seen(page: Page, held_task: str) -> tuple[Page, str]:
    """The page, showing that set."""
    watch(page, held_task)
    until(page, "() => spoton.floor.dots().length === 2")
    return page, held_task


def test_what_is_drawn_agrees_with_the_message_and_the_picture(two_seen):
    """Boxes are those of the message, coloured lines lie where they say, figures stand inside."""
    page, _ = two_seen
    state = shown(page)
    named = 0
    for camera_id, view in state["metadata"]["cameras"].items():
        width, height = state["sizes"][camera_id]
        scale = width / view["frame_width"]
        assert height / view["frame_height"] == pytest.approx(scale, rel=0.02)
        assert len(state["boxes"][camera_id]) == len(view["tracks"])
        for box, track in zip(state["boxes"][camera_id], view["tracks"], strict=True):
            named += track["global_id"] is not None
            x1, y1, x2, y2 = track["bbox_xyxy"]
            drawn = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
            assert drawn == pytest.approx([v * scale for v in (x1, y1, x2, y2)], abs=2)
            check_line_and_figure(page, camera_id, drawn, ((x1 + x2) / 2, (y1 + y2) / 2))
    assert named >= 2


def check_line_and_figure(page, camera_id, drawn, middle):
    """The box's left edge is opaque, its middle is not; the picture there is red or blue."""
    figure = f".view[data-camera={camera_id}]"
    x, y = round(drawn[0]), round((drawn[1] + drawn[3]) / 2)
    if x > 2:
        line = pixels(page, f"{figure} .overlay", x - 2, y, 4, 1)
        assert line[..., 3].max() == 255
    inside = pixels(page, f"{figure} .overlay", round((drawn[0] + drawn[2]) / 2), y, 1, 1)
    assert inside[0, 0, 3] == 0
    colour = pixels(page, f"{figure} .picture", round(middle[0]), round(middle[1]), 1, 1)[0, 0, :3]
    assert min(np.abs(colour.astype(int) - c).max() for c in (RED, BLUE)) < 60


def test_the_map_and_the_zones_show_where_people_stand(two_seen):
    """Dots lie at the surest position; two in a zone for one is an alert."""
    page, _ = two_seen
    state = shown(page)
    surest = {}
    for view in state["metadata"]["cameras"].values():
        for track in view["tracks"]:
            if track["global_id"] and track["map_coords"]:
                entry = (track["map_uncertainty_m"], track["map_coords"])
                surest[track["global_id"]] = min(surest.get(track["global_id"], entry), entry)
    for dot in state["dots"]:
        x, y = page.evaluate("at => spoton.floor.projection().toPixels(at)", surest[dot["id"]][1])
        assert (dot["x"], dot["y"]) == pytest.approx((x, y), abs=0.01)
        area = (round(x) - 1, round(y) - 1, 2, 2)
        assert pixels(page, "#map", *area)[..., :3].max() > 100
    page.click("#tab-zones")
    assert page.inner_text("#zones .figure") == "2 / 1"
    assert page.inner_text("#zones-badge") == "1"
    until(page, "() => document.querySelector('#alerts li.bad')")
    assert "2 persons, 1 allowed" in page.inner_text("#alerts")


def test_a_click_on_a_person_follows_them_for_this_viewer(stack: Stack, two_seen):
    """On a picture and on the map; the server knows, all parts of the page mark the person."""
    page, task_id = two_seen
    camera_id, box = next(
        (c, b) for c, boxes in shown(page)["boxes"].items() for b in boxes if b["globalId"]
    )
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    page.click(f".view[data-camera={camera_id}] .overlay", position=middle)
    until(page, "id => spoton.focusId() === id", box["globalId"])
    focus_is(stack, page, task_id, box["globalId"])
    until(page, "() => document.getElementById('person-first').textContent.startsWith('09:')")
    assert page.inner_text("#person-id") == box["globalId"]
    assert page.locator("#persons [aria-pressed=true]").get_attribute("title") == box["globalId"]
    other = next(d for d in shown(page)["dots"] if d["id"] != box["globalId"])
    page.click("#map", position={"x": other["x"], "y": other["y"]})
    focus_is(stack, page, task_id, other["id"])
    page.reload()
    until(page, "id => window.spoton?.focusId() === id", other["id"])
    page.click("#unfollow")
    focus_is(stack, page, task_id, None)
    assert page.is_visible("#nobody")


def focus_is(stack: Stack, page, task_id, expected):
    """The page's own scripts go on meanwhile."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := followed(stack, task_id)) != expected:
        assert time.monotonic() < deadline, f"the server follows {found}, not {expected}"
        page.wait_for_timeout(50)


def followed(stack: Stack, task_id: str) -> str | None:
    return stack.api.get(f"/tracking/focus/{task_id}").json()["focused_person_id"]


def test_playing_goes_on_and_pausing_holds_the_picture(stack: Stack, two_seen):
    """By the button and by the space bar; not one set comes while it is held."""
    page, task_id = two_seen
    before = shown(page)["frameIndex"]
    until(page, "() => !document.getElementById('play').disabled")
    page.click("#play")
    until(page, "before => spoton.shown.frameIndex > before", before)
    until(page, "() => document.getElementById('play').ariaLabel === 'Pause'")
    page.keyboard.press("k")
    stack.wait(task_id, lambda s: s["playback"]["state"] == "paused")
    until(page, "() => document.getElementById('play').ariaLabel === 'Play'")
    wait_until(lambda: stands_still(page))
    assert before < shown(page)["frameIndex"] < FRAMES - 1


def stands_still(page: Page) -> bool:
    """Whether no set comes in the time of two; what was on its way may come before."""
    held = shown(page)["frameIndex"]
    page.wait_for_timeout(1000)
    return shown(page)["frameIndex"] == held


def test_a_lost_connection_is_taken_up_where_it_was(two_seen):
    """With since=, once the server is there again; the badge tells both."""
    page, _ = two_seen
    addresses: list[str] = []

    def proxy(socket: WebSocketRoute) -> None:
        addresses.append(socket.url)
        socket.connect_to_server()
        if len(addresses) == 1:
            lost.append(socket)

    lost: list[WebSocketRoute] = []
    page.route_web_socket("**/ws/frames/**", proxy)
    page.reload()
    until(page, "() => window.spoton?.shown")
    index = shown(page)["frameIndex"]
    page.evaluate(SAID_EVERYTHING)
    lost[0].close(code=1012, reason="restart")
    until(page, "() => window.said.includes('lost') && window.said.at(-1) === 'live'")
    assert addresses[-1].endswith(f"&since={index}")
    assert len(addresses) == 2


SAID_EVERYTHING = """() => {
  window.said = [];
  const badge = document.getElementById("connection");
  new MutationObserver(() => window.said.push(badge.dataset.state))
    .observe(badge, { attributes: true });
}"""


def test_seeking_shows_the_frame_that_was_asked_for(page, ended_task):
    """Frame numbers are burned into the pictures; a task that has ended is played again."""
    page.goto(f"/?task={ended_task}")
    until(page, "() => !document.getElementById('seek').disabled")
    page.click("#play")
    until(page, "() => spoton.shown?.isReplay && spoton.timeline.isPlaying")
    page.keyboard.press("k")
    until(page, "() => spoton.timeline.playback.state === 'paused'")
    for seconds in (5.3, 1.2, 7.0):
        page.evaluate(
            """seconds => {
          const seek = document.getElementById("seek");
          seek.value = seconds;
          seek.dispatchEvent(new Event("change"));
        }""",
            seconds,
        )
        until(page, "index => spoton.shown.frameIndex === index", round(seconds * 10))
        assert read_number(grey(pixels(page, ".picture"))) == round(seconds * 10)
        assert page.inner_text("#media-time") == f"09:00:0{seconds:.1f}"
    assert page.inner_text("#mode").lower() == "replay"
    page.select_option("#pace", "4")
    until(page, "() => spoton.timeline.playback.speed === 4")
