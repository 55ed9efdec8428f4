"""One entry of a stream, as different viewers get it; every form is made at most once.

Forms differ by whom the viewer follows, by links to crops, by quality, and by what the viewer has
already (deltas). What nobody asks for is never made.
"""

import asyncio
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from control_plane.streaming.deltas import Payload, delta_of
from control_plane.streaming.rungs import RUNGS, at_rung
from plugins.wire import metadata_of, with_metadata

Look = tuple[str | None, bool]  # whom the viewer follows, and whether with links to crops
PLAIN: Look = (None, False)


def envelope(kind: str, task_id: str, payload: object, **more: object) -> str:
    """A message as the contract has it; ``payload`` may be msgspec.Raw."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"type": kind, "task_id": task_id, "payload": payload, "timestamp": now, **more}
    return msgspec.json.encode(message).decode()


def error_message(task_id: str, code: str, message: str) -> str:
    """An ``error`` message; the connection stays."""
    return envelope("error", task_id, {"code": code, "message": message})


class Published(msgspec.Struct, frozen=True):
    """The part of an update that says when it left the worker."""

    timestamp_processed_utc: datetime


class UpdateEntry:
    """A ``tracking_update``, or of a replay a ``playback_frame``; ``raw`` is the payload's JSON."""

    def __init__(self, index: int, raw: bytes, task_id: str, *, is_replay: bool = False) -> None:
        self.index, self.raw, self.is_replay = index, raw, is_replay
        self._task_id = task_id
        self._kind = "playback_frame" if is_replay else "tracking_update"
        self._payloads: dict[Look, Payload] = {}
        self._texts: dict[tuple[Look, int | None], str] = {}

    @cached_property
    def published_s(self) -> float:
        """When it left the worker, Unix seconds by its clock."""
        published = msgspec.json.decode(self.raw, type=Published)
        return published.timestamp_processed_utc.timestamp()

    def text(self, look: Look = PLAIN, since: "UpdateEntry | None" = None) -> str:
        """The message; with ``since`` only what changed from there."""
        key = (look, None if since is None else since.index)
        if key not in self._texts:
            self._texts[key] = self._rendered(look, since)
        return self._texts[key]

    def payload(self, look: Look = PLAIN) -> Payload:
        """The payload as this viewer sees it; not to be changed."""
        if look not in self._payloads:
            payload = msgspec.json.decode(self.raw)
            update = payload["frame_data"] if self.is_replay else payload
            if look != PLAIN:
                dress(update, look, self._task_id)
            self._payloads[look] = payload
        return self._payloads[look]

    def _rendered(self, look: Look, since: "UpdateEntry | None") -> str:
        if since is not None:
            delta = delta_of(since.payload(look), self.payload(look))
            return envelope(self._kind, self._task_id, delta, delta_since=since.index)
        payload: Any = msgspec.Raw(self.raw) if look == PLAIN else self.payload(look)
        return envelope(self._kind, self._task_id, payload)


class PicturesEntry:
    """A binary set; ``raw`` is what the worker made."""

    def __init__(self, index: int, raw: bytes, task_id: str, *, is_replay: bool = False) -> None:
        self.index, self.raw, self.is_replay = index, raw, is_replay
        self._task_id = task_id
        self._made: dict[Hashable, asyncio.Future[bytes]] = {}
        self._dressed: dict[tuple[int, Look], bytes] = {}

    @cached_property
    def published_s(self) -> float:
        """When it left the worker, Unix seconds by its clock."""
        published = msgspec.json.decode(metadata_of(self.raw), type=Published)
        return published.timestamp_processed_utc.timestamp()

    async def message(self, rung: int = 0, look: Look = PLAIN) -> bytes:
        """The set at a quality, for one viewer."""
        message = self.raw
        if rung:
            message = await self.made(rung, lambda: at_rung(self.raw, RUNGS[rung]))
        return message if look == PLAIN else self._dress(message, rung, look)

    async def made(self, name: Hashable, make: Callable[[], bytes]) -> bytes:
        """What ``make`` gives, off the event loop and once for all who ask by this name."""
        if name not in self._made:
            self._made[name] = asyncio.ensure_future(asyncio.to_thread(make))
        return await asyncio.shield(self._made[name])

    def _dress(self, message: bytes, rung: int, look: Look) -> bytes:
        key = (rung, look)
        if key not in self._dressed:
            update = msgspec.json.decode(metadata_of(self.raw))
            dress(update, look, self._task_id)
            self._dressed[key] = with_metadata(message, msgspec.json.encode(update))
        return self._dressed[key]


def dress(update: Payload, look: Look, task_id: str) -> None:
    """Marks the followed person and links crops, in place."""
    focus_id, with_crops = look
    update["focus_person_id"] = focus_id
    for view in update["cameras"].values():
        for track in view["tracks"]:
            track["is_focused"] = focus_id is not None and track["global_id"] == focus_id
        if with_crops:
            ids = [t["global_id"] for t in view["tracks"] if t["global_id"]]
            view["cropped_persons"] = {i: crop_url(i, task_id) for i in ids}


def crop_url(global_id: str, task_id: str) -> str:
    """Where a person's picture is."""
    return f"/api/v1/media/persons/{global_id}/image?task_id={task_id}"
