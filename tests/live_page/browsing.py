"""What the tests of the page share: recordings, waiting, and reading what the page has drawn."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from tests.blob_world import BlobWorld
from tests.recordings import write_video
from tests.waiting import PATIENCE_S

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PASSWORD = "correct horse battery"  # noqa: S105  # of servers that live for a test
ROOM = """
environment_id = "numbers"
name = "Numbered frames"
environment_type = "test"
description = "One camera whose frames carry their numbers."
object_store_prefix = "numbers"
recording_start = 2024-05-01T09:00:00Z
timezone = "UTC"
rate_hz = 10
map_bounds_m = [0, 0, 20, 15]

[[cameras]]
camera_id = "n1"
name = "Numbers"
width = 320
height = 240
fps = 10
image_to_ground = [[0.0, -0.06, 26.0], [0.04, 0.0, -2.0], [0.0, 0.0, 1.0]]
"""
PIXELS = """([selector, x, y, width, height]) => {
  const canvas = document.querySelector(selector);
  const w = width ?? canvas.width, h = height ?? canvas.height;
  return [[w, h], [...canvas.getContext("2d").getImageData(x, y, w, h).data]];
}"""


@dataclass(frozen=True, slots=True)
class NumberedRoom:
    """How long it is."""

    frames: int = 80
    rate_hz: int = 10


def write_numbered_room(world: BlobWorld, room: NumberedRoom) -> None:
    """Adds environment ``numbers`` and its recording to a world."""
    (world.environments / "numbers.toml").write_text(ROOM, encoding="utf-8")
    folder = world.recordings / "numbers" / "n1"
    folder.mkdir(parents=True)
    write_video(folder / "sub_video_01.mp4", room.frames, room.rate_hz)


class Watcher:
    """What the browser complains about: scripts that fail, and whatever the policy forbids."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _hear(self, message: ConsoleMessage) -> None:
        # An answer of 404 is part of the conversation: nobody has a picture before the first one.
        is_answer = message.text.startswith("Failed to load resource")
        if message.type == "error" and not is_answer:
            self.complaints.append(message.text)


def until(page: Page, expression: str, argument: Any = None) -> None:
    """Waits until JavaScript says yes."""
    page.wait_for_function(expression, arg=argument, timeout=PATIENCE_S * 1000)


def watch(page: Page, task_id: str) -> None:
    """Opens a task and waits for its first set."""
    page.goto(f"/?task={task_id}")
    until(page, "() => window.spoton?.shown")


def shown(page: Page) -> dict[str, Any]:
    """Frame index and metadata of the set on the page, boxes and dots as they were drawn."""
    found: dict[str, Any] = page.evaluate("""() => ({
      ...spoton.shown,
      boxes: Object.fromEntries([...spoton.views.views].map(([id, view]) => [id, view.boxes])),
      sizes: Object.fromEntries([...spoton.views.views].map(([id, { overlay }]) =>
        [id, [overlay.clientWidth, overlay.clientHeight]])),
      dots: spoton.floor.dots(),
    })""")
    return found


def pixels(page: Page, selector: str, *area: int) -> npt.NDArray[np.uint8]:
    """RGBA (height, width, 4) of a canvas, or of x, y, width, height in it."""
    (width, height), values = page.evaluate(PIXELS, [selector, *(area or (0, 0))])
    return np.array(values, np.uint8).reshape(height, width, 4)


def grey(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(height, width)."""
    return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2GRAY), np.uint8)
