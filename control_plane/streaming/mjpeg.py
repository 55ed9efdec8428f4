"""A camera of the live feed as the parts of a ``multipart/x-mixed-replace`` body."""

from collections import deque
from collections.abc import AsyncIterator

from control_plane.services import Services
from control_plane.streaming.outboxes import Closing, Outbox
from control_plane.streaming.pictures import update_of, with_overlay
from control_plane.streaming.renderings import PicturesEntry
from plugins.media.overlays import Drawing, OverlayStyle, Trails, foot_px
from plugins.messages import CameraTracks
from plugins.wire import decode_set

BOUNDARY = "spoton-picture"


async def parts_of(
    services: Services, task_id: str, camera_id: str, style: OverlayStyle | None, viewer: str
) -> AsyncIterator[bytes]:
    """JPEG after JPEG until the task ends; whoever stops iterating frees everything.

    With a ``style`` boxes are drawn in, once for all who watch in the same style.
    """
    outbox = Outbox(kept=1, max_bytes=0)
    trails = RunningTrails(style.trail_sets if style else 1)
    with services.hub.subscribed("frames", task_id, outbox) as feed:
        while not isinstance(item := await outbox.get(), Closing):
            if not isinstance(item, PicturesEntry):
                continue
            focus_id = feed.focus.get(viewer)
            jpeg = await _picture(item, camera_id, style, trails, focus_id)
            if jpeg:
                yield part(jpeg)


def part(jpeg: bytes) -> bytes:
    """One picture of the body."""
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return b"".join((head.encode(), jpeg, b"\r\n"))


class RunningTrails:
    """Foot points of the last sets, one camera's."""

    def __init__(self, sets: int) -> None:
        self._sets: deque[dict[str, tuple[float, float]]] = deque(maxlen=sets)

    def add(self, view: CameraTracks) -> Trails:
        """With one more set: points by global id, oldest first."""
        self._sets.append({t.global_id: foot_px(t) for t in view.tracks if t.global_id})
        ids = self._sets[-1]
        return {i: [points[i] for points in self._sets if i in points] for i in ids}


async def _picture(
    entry: PicturesEntry,
    camera_id: str,
    style: OverlayStyle | None,
    trails: RunningTrails,
    focus_id: str | None,
) -> bytes:
    binary_set = decode_set(entry.raw)
    jpeg = binary_set.jpegs.get(camera_id, b"")
    view = update_of(binary_set).cameras.get(camera_id) if style else None
    if not jpeg or style is None or view is None:
        return jpeg
    lines = trails.add(view)
    drawing = Drawing(style, lines, focus_id, camera_id)
    return await entry.made(
        ("overlay", camera_id, style, focus_id), lambda: with_overlay(jpeg, view, drawing)
    )
