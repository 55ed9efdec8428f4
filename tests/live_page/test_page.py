"""The page itself: by keyboard, in both themes, on every size of screen, with and without login."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from homography.environment import load_environments
from tests.control_plane.serving import running_app
from tests.live_page.browsing import PASSWORD, Watcher, until, watch
from tests.stack import Stack

SIZES = {"laptop": (1280, 720), "desktop": (1920, 1080), "phone": (390, 844)}
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => rgb(colour)
    .map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const style = getComputedStyle(document.documentElement);
  const of = (name) => light(style.getPropertyValue(name));
  const pairs = [["ink", "panel"], ["ink", "ground"], ["faint", "panel"], ["faint", "ground"],
    ["faint", "floor"], ["faint", "raised"], ["good", "panel"], ["warn", "panel"],
    ["bad", "panel"], ["accent-ink", "accent"], ["ink", "tint"], ["faint", "tint"]];
  return Object.fromEntries(pairs.map(([a, b]) => {
    const [low, high] = [of(`--${a}`), of(`--${b}`)].sort((x, y) => x - y);
    return [`${a} on ${b}`, (high + 0.05) / (low + 0.05)];
  }));
}"""
REACHED = """() => {
  const { activeElement: at } = document;
  const label = at.getAttribute("aria-label") || at.title || at.textContent || at.name;
  return at === document.body ? null : at.id || label;
}"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_can_be_read_in_both_themes(page: Page, theme: str):
    """Contrast of 4.5 and more (WCAG 2 AA); the button turns the system's choice around."""
    page.emulate_media(color_scheme=theme)
    page.goto("/")
    assert page.get_attribute("html", "data-theme") == theme
    poor = {pair: ratio for pair, ratio in page.evaluate(CONTRAST).items() if ratio < 4.5}
    assert not poor
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.get_attribute("html", "data-theme") != theme
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.reload()
    assert page.get_attribute("html", "data-theme") != theme


@pytest.mark.parametrize("name", SIZES)
def test_the_pictures_fit_every_screen(page: Page, ended_task: str, name: str):
    """Larger screens show all without scrolling; a phone scrolls down, never sideways."""
    width, height = SIZES[name]
    page.set_viewport_size({"width": width, "height": height})
    watch(page, ended_task)
    whole = page.evaluate("[document.body.scrollWidth, document.body.scrollHeight]")
    assert whole[0] <= width
    boxes = [page.locator(part).bounding_box() for part in (".view", "#timeline", "#map")]
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    if name != "phone":
        assert whole[1] <= height
        assert all(box["y"] + box["height"] <= height for box in boxes)


def test_everything_can_be_done_by_keyboard(page: Page, stack: Stack):
    """Tab reaches every control, Enter starts, letters steer, the help says which."""
    page.goto("/")
    until(page, "() => !document.getElementById('start').disabled")
    page.select_option("#environment", "blobs")
    page.focus("#options summary")
    page.keyboard.press("Enter")
    page.select_option("#speed", "0.25")  # so that it does not end before it is held
    page.focus("#start")
    page.keyboard.press("Enter")
    until(page, "() => window.spoton.floor.dots().length === 2")
    until(page, "() => spoton.timeline.isPlaying")  # before that is known, nothing can be held
    task_id = page.evaluate("new URLSearchParams(location.search).get('task')")
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    stack.wait(task_id, lambda s: s["playback"]["state"] == "paused")
    reached = tabbed_through(page)
    for control in ("environment", "start", "stop", "theme", "help-open", "user", "play", "seek"):
        assert control in reached
    assert sum(name.startswith("Enlarge") for name in reached) == 4
    assert page.evaluate("document.querySelectorAll('button:not([aria-label]):empty').length") == 0
    page.keyboard.press("n")
    until(page, "() => spoton.focusId()")
    page.keyboard.press("2")
    assert page.locator(".view:visible").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".view:visible").count() == 4
    page.keyboard.press("?")
    assert "Follow the next person" in page.inner_text("#help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")
    page.focus("#tab-person")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#zones-panel")
    page.focus("#stop")
    page.keyboard.press("Enter")
    assert stack.wait(task_id)["status"] == "STOPPED"
    until(page, "() => document.getElementById('mode').textContent === 'ended'")


def tabbed_through(page: Page) -> list[str]:
    """Names of what Tab reaches, once around; each shows a ring when it is reached."""
    names: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        name = page.evaluate(REACHED)
        if name in names:
            break
        if name is not None:
            ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert ring != "none", name
            names.append(name)
    return names


def test_reduced_motion_is_respected(page: Page):
    """Nothing moves by itself for whoever asks for that."""
    page.emulate_media(reduced_motion="reduce")
    page.goto("/")
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate(
        "getComputedStyle(document.getElementById('theme')).transitionDuration"
    ) in {
        "0s",
        "",
    }


def test_who_has_to_log_in_is_asked_and_stays_logged_in(
    browser: Browser, stack: Stack, world: dict[str, str], ended_task: str, tmp_path: Path
):
    """A wrong password is told, the right one opens the task; a reload does not ask again."""
    catalogue = load_environments([Path(world["SPOTON_ENVIRONMENTS_DIR"])])
    urls = {name: stack.urls()[name] for name in ("database_url", "redis_url")}
    context = browser.new_context()
    watcher = Watcher(context)
    page = context.new_page()
    with running_app(tmp_path, catalogue=catalogue, anonymous=False, **urls) as app:
        page.goto(f"{app.url}/?task={ended_task}")
        page.wait_for_selector("#login[open]")
        log_in(page, "wrong password")
        until(page, "() => document.getElementById('login-error').textContent")
        assert "password is wrong" in page.inner_text("#login-error")
        log_in(page, PASSWORD)
        until(page, "() => window.spoton?.shown")
        assert page.inner_text("#user-name") == "admin"
        assert PASSWORD not in page.evaluate("JSON.stringify([sessionStorage, localStorage])")
        page.reload()
        until(page, "() => window.spoton?.shown")
        assert not page.is_visible("#login")
        page.click("#user")
        page.wait_for_selector("#login[open]")
        context.close()
    assert watcher.complaints == []


def log_in(page: Page, password: str) -> None:
    page.fill("#username", "admin")
    page.fill("#password", password)
    page.click("#login-submit")


def test_nothing_recorded_says_what_to_do(page: Page):
    """And that nobody has started anything is no error."""
    page.route("**/api/v1/environments", lambda route: route.fulfill(json=NOTHING_RECORDED))
    page.route("**/api/v1/processing-tasks?*", lambda route: route.fulfill(json=NO_TASKS))
    page.goto("/")
    until(page, "() => document.body.dataset.watching === 'no'")
    assert "No recordings yet: upload" in page.inner_text("#empty")
    assert "No task has been started yet" in page.inner_text("#side")


NO_TASKS = {"items": [], "total": 0, "next_cursor": None, "has_next": False}
NOTHING_RECORDED = {
    "environments": [{"environment_id": "blobs", "name": "Red and blue", "has_data": False}],
    "problems": [],
}
