"""``/ws/tracking/{task}`` and ``/ws/frames/{task}``: what happens now, to any number of browsers.

Server to client: ``connection_established``, ``tracking_update`` or ``playback_frame`` (on frames,
binary sets), ``frame_sync`` where the row of sets is broken, ``status_update`` about once a second,
``pong``, ``error``. Client to server: ``COMMANDS``. In the address: ``since`` resumes after a frame
index, ``replay=true`` stays when the task has ended, ``delta`` and ``crops`` are for tracking,
``quality`` for frames. Close codes: 1000 the task has ended, 1013 try again later, 4401 the token
has expired, 4403 not allowed, 4404 no such task.
"""

import contextlib
import time
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import websocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import visible_task
from control_plane.errors import REDIS_AWAY, TaskNotFoundError
from control_plane.services import Services
from control_plane.streaming.feeds import STREAMS, Feed, Kind
from control_plane.streaming.focus_state import viewer_of
from control_plane.streaming.outboxes import Data, Outbox
from control_plane.streaming.playback_commands import command_playback, playback_of, seek_command
from control_plane.streaming.renderings import PLAIN, Look, PicturesEntry, UpdateEntry, envelope
from control_plane.streaming.rungs import NAMES, RUNGS, Ladder
from control_plane.streaming.sockets import (
    GONE,
    NOT_FOUND,
    TRY_AGAIN_LATER,
    Command,
    Plain,
    Socket,
    SocketSession,
)
from plugins.errors import UnavailableError
from plugins.messages import PlaybackCommand

SKIPPED_SAID_EVERY = 50
WAITED_S = 0.05
YES = {"1", "true"}


class Subscribe(msgspec.Struct, frozen=True):
    """``subscribe_tracking``; what is left out stays as it is."""

    delta: bool | None = None
    crops: bool | None = None


class Follow(msgspec.Struct, frozen=True):
    """``set_focus``: a person of this task."""

    person_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Seek(msgspec.Struct, frozen=True):
    """``seek``: either a position 0..1 of the task or a moment of media time."""

    position: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def __post_init__(self) -> None:
        """Exactly one of both."""
        if (self.position is None) == (self.timestamp is None):
            raise ValueError("give either position (0 to 1) or timestamp")


class Speed(msgspec.Struct, frozen=True):
    """``speed``: a factor of real time."""

    speed: Annotated[float, msgspec.Meta(ge=0.25, le=4)]


class TaskSession(SocketSession):
    """One client of one task."""

    def __init__(self, socket: Socket, services: Services, kind: Kind, task_id: str) -> None:
        super().__init__(
            socket, services, task_id, Outbox(STREAMS[kind].kept, STREAMS[kind].max_bytes)
        )
        query = socket.query_params
        self._kind = kind
        self._viewer = viewer_of(self.caller.user_id)
        self._stays = query.get("replay") in YES
        self._wants_delta, self._wants_crops = query.get("delta") in YES, query.get("crops") in YES
        self._ladder = Ladder()
        self._feed: Feed | None = None
        self._last: Data | None = None
        self._last_index = -1
        self._send_s = 0.0
        self._skipped = self._gaps = self._lost_unsaid = 0
        self._sent = services.metrics.messages.labels(kind)

    async def run(self) -> None:
        """Serves the client until it leaves, is told that the task has ended, or stops reading."""
        await self._socket.accept()
        if not await self._is_greeted():
            return
        since = self._since()
        self._choose_quality()
        with self._services.hub.subscribed(
            self._kind,
            self._name,
            self.outbox,
            from_newest=since is None,
            stays=self._stays,
        ) as feed:
            self._feed, self._gaps = feed, feed.gaps
            if since is not None:
                await self._replay(feed, since)
            await super().run()

    async def send_data(self, entry: Data) -> None:
        """One set, unless the client has had it already."""
        if not entry.is_replay and entry.index <= self._last_index:
            return
        await self._announce_break(entry)
        look = self._look()
        data: str | bytes
        if isinstance(entry, PicturesEntry):
            data = await entry.message(self._ladder.rung, look)
        else:
            data = entry.text(look, self._base(entry))
        began = time.perf_counter()
        await self.send(data)
        self._send_s = time.perf_counter() - began
        self._sent.inc()
        if not entry.is_replay:
            lag_s = max(time.time() - entry.published_s, 0.0)
            self._services.metrics.stages.sending.add(self._kind, lag_s)
        self._last = entry
        self._last_index = self._last_index if entry.is_replay else entry.index

    async def subscribe(self, message: Subscribe) -> None:
        """Says everything from now on, as it does at first."""
        self.outbox.wants_data = True
        if message.delta is not None:
            self._wants_delta = message.delta
        if message.crops is not None:
            self._wants_crops, self._last = message.crops, None

    async def unsubscribe(self, _message: Plain) -> None:
        """Says nothing but answers and status."""
        self.outbox.wants_data = False
        self.outbox.forget_data()

    async def report_status(self, _message: Plain) -> None:
        """Answers with the task's state."""
        self.reply("status_update", await self._services.read_task(self._name))

    async def follow(self, message: Follow) -> None:
        """Marks a person in all of this viewer's views, here and wherever else they look."""
        await self._services.hub.follow(self._name, self._viewer, message.person_id)

    async def unfollow(self, _message: Plain) -> None:
        """Marks nobody."""
        await self._services.hub.unfollow(self._name, self._viewer)

    async def play(self, _message: Plain) -> None:
        """Goes on; a task that has ended is shown again."""
        await self._command(PlaybackCommand("play", by=self.caller.name))

    async def pause(self, _message: Plain) -> None:
        """Holds the picture."""
        await self._command(PlaybackCommand("pause", by=self.caller.name))

    async def speed(self, message: Speed) -> None:
        """Faster or slower."""
        await self._command(PlaybackCommand("speed", speed=message.speed, by=self.caller.name))

    async def seek(self, message: Seek) -> None:
        """To another place."""
        playback = await playback_of(self._services, await self._task())
        await self._command(
            seek_command(playback, message.position, message.timestamp, self.caller)
        )

    async def _command(self, command: PlaybackCommand) -> None:
        await command_playback(self._services, await self._task(), command)

    async def _task(self) -> Any:
        return await visible_task(self._services, self.caller, self._name)

    async def _is_greeted(self) -> bool:
        try:
            view = await self._task()
        except TaskNotFoundError as error:
            await self.refuse(error, NOT_FOUND)
            return False
        except UnavailableError as error:
            await self.refuse(error, TRY_AGAIN_LATER)
            return False
        self._name = view.task_id  # the client may have written it in capitals
        await self.send(envelope("connection_established", self._name, view))
        return True

    def _since(self) -> int | None:
        text = self._socket.query_params.get("since")
        if text is None:
            return None
        try:
            return max(int(text), -1)
        except ValueError:
            message = f"since={text!r} is not a frame index; going on with what is new"
            self.reply_error("invalid_since", message)
            return None

    def _choose_quality(self) -> None:
        name = self._socket.query_params.get("quality", NAMES[0])
        if name in NAMES:
            self._ladder = Ladder(NAMES.index(name))
        else:
            known = ", ".join(NAMES)
            self.reply_error("invalid_quality", f"quality={name!r} is none of {known}; using full")

    async def _replay(self, feed: Feed, since: int) -> None:
        self._last_index = since
        entries: list[Data] = []
        while True:
            try:
                entries = await feed.replay(self._last_index)
            except REDIS_AWAY:
                return  # the feed announces it, and goes on with what is new
            if not entries:
                return
            if self._last is None and entries[0].index > since + 1:
                await self._sync(entries[0], "not_kept", entries[0].index - since - 1)
            for entry in entries:
                await self.send_data(entry)

    def _look(self) -> Look:
        focus_id = self._feed.focus.get(self._viewer) if self._feed else None
        return (focus_id, self._wants_crops) if focus_id or self._wants_crops else PLAIN

    def _base(self, entry: Data) -> UpdateEntry | None:
        """What the client has, to send only what changed since."""
        last = self._last
        is_wanted = self._wants_delta and not entry.is_replay
        if is_wanted and isinstance(last, UpdateEntry) and not last.is_replay:
            return last
        return None

    async def _announce_break(self, entry: Data) -> None:
        """Says ``frame_sync`` where the next set does not simply follow the last one."""
        lost, self._skipped = self.outbox.skipped - self._skipped, self.outbox.skipped
        self._lost_unsaid += lost
        gaps = self._feed.gaps if self._feed else 0
        # Sets also come in bursts; only what was lost while a send waited tells of a slow client.
        lost_waiting = lost if self._send_s > WAITED_S else 0
        is_other_step = self._kind == "frames" and self._ladder.note(lost_waiting)
        self.outbox.divisor = self._ladder.divisor
        if gaps != self._gaps:
            self._gaps = gaps
            await self._sync(entry, "redis_was_away", max(entry.index - self._last_index - 1, 0))
        elif self._last is not None and self._last.is_replay != entry.is_replay:
            await self._sync(entry, "replay" if entry.is_replay else "live", 0)
        elif is_other_step:
            await self._sync(entry, "quality", self._lost_unsaid)
        elif self._last is None and self._last_index < 0:
            await self._sync(entry, "start", 0)
        elif self._lost_unsaid >= SKIPPED_SAID_EVERY:
            await self._sync(entry, "skipped", self._lost_unsaid)

    async def _sync(self, entry: Data, reason: str, missed: int) -> None:
        self._lost_unsaid = 0
        payload = {
            "global_frame_index": None if entry.is_replay else entry.index,
            "mode": "replay" if entry.is_replay else "live",
            "reason": reason,
            "missed_sets": missed,
            "quality": RUNGS[self._ladder.rung].name,
            "every": self._ladder.divisor,
        }
        await self.send(envelope("frame_sync", self._name, payload))


TaskSession.commands = {
    "subscribe_tracking": Command(Subscribe, TaskSession.subscribe),
    "unsubscribe_tracking": Command(Plain, TaskSession.unsubscribe),
    "request_status": Command(Plain, TaskSession.report_status),
    "ping": Command(Plain, TaskSession.pong),
    "set_focus": Command(Follow, TaskSession.follow),
    "clear_focus": Command(Plain, TaskSession.unfollow),
    "play": Command(Plain, TaskSession.play, "operator"),
    "pause": Command(Plain, TaskSession.pause, "operator"),
    "seek": Command(Seek, TaskSession.seek, "operator"),
    "speed": Command(Speed, TaskSession.speed, "operator"),
}


async def _serve(socket: Socket, services: Services, kind: Kind, task_id: str) -> None:
    with contextlib.suppress(*GONE):
        await TaskSession(socket, services, kind, task_id).run()


@websocket("/ws/tracking/{task_id:str}", opt={"role": "viewer"})
async def tracking_socket(
    socket: Socket, services: NamedDependency[Services], task_id: FromPath[str]
) -> None:
    """Every synchronised set's identities and floor positions, as JSON."""
    await _serve(socket, services, "tracking", task_id)


@websocket("/ws/frames/{task_id:str}", opt={"role": "viewer"})
async def frames_socket(
    socket: Socket, services: NamedDependency[Services], task_id: FromPath[str]
) -> None:
    """Every synchronised set's pictures, as the binary messages of ``plugins.wire``."""
    await _serve(socket, services, "frames", task_id)


HANDLERS: list[ControllerRouterHandler] = [tracking_socket, frames_socket]
