"""How a task goes, asked once for all who watch it in this process, whatever they watch."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cached_property
from typing import Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from control_plane.errors import TaskNotFoundError
from control_plane.streaming.focus_state import read_all_focus
from control_plane.streaming.renderings import envelope
from control_plane.task_state import TaskView
from plugins.errors import DatabaseUnavailableError
from plugins.messages import TERMINAL_STATUSES, watched_key

log = structlog.get_logger()
ReadStatus = Callable[[str], Awaitable[TaskView]]

EVERY_S = 0.5
WATCHED_S = 30


class Glance:
    """A task's state as it was asked for at ``asked_at`` (monotonic seconds); its message is made
    at most once.
    """

    def __init__(self, view: TaskView, asked_at: float) -> None:
        self.view, self.asked_at = view, asked_at
        self.has_ended = view.status in TERMINAL_STATUSES
        self.is_replay = view.playback is not None and view.playback.mode == "replay"

    @cached_property
    def text(self) -> str:
        """A ``status_update``."""
        return envelope("status_update", self.view.task_id, self.view)


class Watcher(Protocol):
    """Whoever wants to know how a task goes."""

    def notice(self, glance: Glance) -> None:
        """How it goes now."""

    def fail(self) -> None:
        """Nothing more will be said."""


class TaskWatch:
    """Looks at one task twice a second until it is stopped, for all its watchers.

    While services are away nothing is said. ``focus`` is whom each viewer follows.
    """

    def __init__(self, task_id: str, redis: "Redis", read_status: ReadStatus) -> None:
        self.focus: dict[str, str] = {}
        self.watchers: set[Watcher] = set()
        self._task_id, self._redis, self._read_status = task_id, redis, read_status
        self._is_new = asyncio.Event()
        self._is_stopped = False
        self._task = asyncio.create_task(self._run())

    @property
    def is_done(self) -> bool:
        """True when it has failed or was stopped."""
        return self._is_stopped or self._task.done()

    def add(self, watcher: Watcher) -> None:
        """Looks at once, so that a newcomer need not wait."""
        self.watchers.add(watcher)
        self._is_new.set()

    def show_focus(self, viewer: str, global_id: str | None) -> None:
        """A viewer's choice, before it is read."""
        others = {v: g for v, g in self.focus.items() if v != viewer}
        self.focus = others | ({} if global_id is None else {viewer: global_id})

    def stop(self) -> None:
        """Ends it, also when a time-out of Redis takes the cancellation for its own."""
        self._is_stopped = True
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while not self._is_stopped:
                self._is_new.clear()
                await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._is_new.wait()
        except Exception:
            log.exception("watch_failed", task_id=self._task_id)
            for watcher in list(self.watchers):
                watcher.fail()

    async def _look(self) -> None:
        asked_at = time.monotonic()
        try:
            glance = Glance(await self._read_status(self._task_id), asked_at)
        except (DatabaseUnavailableError, TaskNotFoundError):
            return
        for watcher in list(self.watchers):
            watcher.notice(glance)
        with suppress(RedisError):  # last: it may take seconds to say so when Redis hangs
            if glance.is_replay:
                await self._redis.set(watched_key(self._task_id), 1, ex=WATCHED_S)
            self.focus = await read_all_focus(self._redis, self._task_id)
