"""``spoton worker``: takes queued tasks and runs each in a child process of its own.

A worker is crash-only: when it ends in the middle of a task, its lease is given up and the task
goes on, in this or another worker, after the last stored set.
"""

import argparse
import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from control_plane.catalogue import known_environment
from control_plane.embedded import die_with_parent, running_services
from control_plane.health.profile import chosen_profile, require_profile
from control_plane.settings import Settings, as_environment
from control_plane.store import Store
from control_plane.task_environment import task_environment
from control_plane.worker_settings import worker_settings
from homography.environment import load_environments
from plugins.errors import DatabaseUnavailableError, LeaseLostError, UnknownEnvironmentError
from plugins.history import LEASE_S
from plugins.messages import REPLAY_REQUESTS, TaskRequest, WorkerState, worker_key
from plugins.replay import run_replay
from plugins.tracing import check_tracing
from plugins.worker import run_task

log = structlog.get_logger()
POLL_S = 0.5
ANNOUNCED_FOR_S = 5
REPLAYS_AT_ONCE = 4
GRACE_S = 10.0
LEASE_LOST_STATUS = 3
ENDED_STATUS = 143


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--task`` is how a worker starts its own children."""
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--owner", help=argparse.SUPPRESS)
    parser.add_argument("--replay", help=argparse.SUPPRESS)
    parser.epilog = "SPOTON_TASKS_AT_ONCE (default 1) tasks run side by side."


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Until it is told to end."""
    if args.replay:
        return _replay(args.replay, settings)
    if args.task:
        return _run_one(args.task, args.owner, settings)
    require_profile(settings)
    with running_services(settings) as complete:
        asyncio.run(Supervisor(complete).serve())
    return 0


def _run_one(task_id: str, owner: str, settings: Settings) -> int:
    # Ends as a program does that has finished: its shared memory goes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED_STATUS))
    request = asyncio.run(_request(settings, task_id))
    catalogue = load_environments(settings.environment_folders())
    try:
        environment = known_environment(catalogue, request.environment_id)
    except UnknownEnvironmentError as error:
        asyncio.run(_fail(settings, task_id, f"at this worker {error}"))
        return 1
    environment = task_environment(settings, environment, task_id)
    try:
        progress = run_task(request, environment, worker_settings(settings), owner)
    except LeaseLostError as error:
        log.warning("lease_lost", error=str(error))
        return LEASE_LOST_STATUS
    return 1 if progress.status == "FAILED" else 0


def _replay(task_id: str, settings: Settings) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED_STATUS))
    request = asyncio.run(_request(settings, task_id))
    catalogue = load_environments(settings.environment_folders())
    environment = known_environment(catalogue, request.environment_id)
    run_replay(request, environment, worker_settings(settings))
    return 0


async def _request(settings: Settings, task_id: str) -> TaskRequest:
    store = Store(settings.database_url or "")
    try:
        return (await store.get_task(task_id)).request
    finally:
        await store.close()


async def _fail(settings: Settings, task_id: str, error: str) -> None:
    store = Store(settings.database_url or "")
    try:
        await store.set_status(task_id, "FAILED", error)
    finally:
        await store.close()


class Supervisor:
    """Claims tasks and watches over the children that run them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._profile = chosen_profile(settings)
        check_tracing(settings.tracing_url)
        self._numbers = itertools.count()
        # By owner: a task whose lease ran out may be claimed while its first child still ends.
        self._children: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
        self._replays: list[subprocess.Popen[bytes]] = []
        self._ended = asyncio.Event()
        self._store = Store(settings.database_url or "")
        self._redis = redis.Redis.from_url(
            settings.redis_url or "", socket_timeout=1.0, retry=Retry(NoBackoff(), 1)
        )

    async def serve(self) -> None:
        """Claims and supervises until SIGTERM or SIGINT; children end with it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        profile, reason = self._profile.name, self._profile.reason
        log.info("worker_ready", owner=self._name, profile=profile, reason=reason)
        while not self._ended.is_set():
            try:
                await self._reap()
                await self._claim()
            except DatabaseUnavailableError as error:
                log.warning("database_away", error=str(error))
            await self._start_replays()
            await asyncio.to_thread(self._announce)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), POLL_S)
        await self._stop()

    async def _claim(self) -> None:
        while len(self._children) < self._settings.tasks_at_once:
            owner = f"{self._name}:{next(self._numbers)}"
            request = await self._store.claim_task(owner, LEASE_S)
            if request is None:
                return
            log.info("task_claimed", task_id=request.task_id)
            child = self._start("--task", request.task_id, "--owner", owner)
            self._children[owner] = (request.task_id, child)

    async def _start_replays(self) -> None:
        """A child for each replay that viewers have asked for, as long as there is room."""
        self._replays = [child for child in self._replays if child.poll() is None]
        with suppress(redis.RedisError):
            while len(self._replays) < REPLAYS_AT_ONCE:
                task_id: Any = await asyncio.to_thread(self._redis.lpop, REPLAY_REQUESTS)
                if task_id is None:
                    return
                log.info("replay_started", task_id=task_id.decode())
                self._replays.append(self._start("--replay", task_id.decode()))

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        # The event loop's thread lives as long as this process, so the child outlives neither.
        return subprocess.Popen(
            [sys.executable, "-m", "control_plane", "worker", *arguments],
            env=os.environ | as_environment(self._settings),
            preexec_fn=die_with_parent,  # noqa: PLW1509  # prctl only, no locks are taken
            start_new_session=True,
        )

    async def _reap(self) -> None:
        for owner, (task_id, child) in list(self._children.items()):
            if child.poll() is not None:
                await self._store.release_lease(task_id, owner, has_crashed=True)
                del self._children[owner]
                log.info("task_left", task_id=task_id, exit_status=child.returncode)

    def _announce(self) -> None:
        task_ids = sorted({task_id for task_id, _ in self._children.values()})
        state = WorkerState(self._name, task_ids, self._profile.name)
        with suppress(redis.RedisError):
            self._redis.set(worker_key(self._name), state.encode(), ex=ANNOUNCED_FOR_S)

    async def _stop(self) -> None:
        for child in (*self._replays, *(child for _, child in self._children.values())):
            child.terminate()
        for replay in self._replays:
            await asyncio.to_thread(_end, replay)
        for owner, (task_id, child) in self._children.items():
            await asyncio.to_thread(_end, child)
            with suppress(DatabaseUnavailableError):
                await self._store.release_lease(task_id, owner, has_crashed=False)
        with suppress(redis.RedisError):
            self._redis.delete(worker_key(self._name))
        await self._store.close()


def _end(child: "subprocess.Popen[bytes]") -> None:
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
