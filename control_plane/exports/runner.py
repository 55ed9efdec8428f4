"""Claims jobs and runs each in a process of its own, one at a time for each control plane.

A process of its own, since drawing, encoding and compressing would take the event loop's turn, and
since the memory it took goes with it. Any replica may claim any job.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

import msgspec
import structlog

from control_plane.cancelling import end_all
from control_plane.embedded import die_with_parent
from control_plane.exports.files import delete_files, open_exports
from control_plane.exports.jobs import (
    CLEARED,
    EXPIRE,
    FORGET,
    FORGOTTEN_AFTER_DAYS,
    LITTER,
    claim,
    release,
)
from control_plane.exports.schedules import enqueue_due
from control_plane.services import USUAL_DATABASE_URL, Services
from control_plane.settings import Settings, as_environment
from plugins.errors import SpotOnError

log = structlog.get_logger()
POLL_S = 0.5
CLEAR_UP_EVERY_S = 5.0
GRACE_S = 5.0
NICENESS = 5


class ExportRunner:
    """The background task of one control plane process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._name = f"{socket.gethostname()}:{os.getpid()}:{id(self):x}"
        self._count = 0
        self._cleared_at = 0.0
        self._child: tuple[str, str, subprocess.Popen[bytes]] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins; nothing waits for it."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends; a job under way goes back into the queue."""
        if self._task is not None:
            await end_all([self._task])
        if self._child is not None:
            job_id, owner, process = self._child
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, GRACE_S)
            process.kill()
            process.wait()
            with suppress(SpotOnError):
                await release(self._services.store, job_id, owner)

    async def _run(self) -> None:
        while True:
            try:
                await self._step()
            except SpotOnError as error:
                log.warning("exports_delayed", error=str(error))
            except Exception:
                log.exception("exports_failed")
            await asyncio.sleep(POLL_S)

    async def _step(self) -> None:
        if self._child is not None and self._child[2].poll() is not None:
            job_id, owner, process = self._child
            self._child = None
            if process.returncode < 0:
                log.warning("export_process_died", job_id=job_id, status=process.returncode)
        if time.monotonic() - self._cleared_at > CLEAR_UP_EVERY_S:
            self._cleared_at = time.monotonic()
            await enqueue_due(self._services.store)
            await clear_up(self._services)
        if self._child is None:
            self._count += 1
            owner = f"{self._name}:{self._count}"
            job = await claim(self._services.store, owner)
            if job is not None:
                self._child = (job.job_id, owner, start_process(
                    self._services.settings, job.job_id, owner
                ))  # fmt: skip


def start_process(settings: Settings, job_id: str, owner: str) -> subprocess.Popen[bytes]:
    """The process of one job; the kernel ends it with this one."""
    url = settings.database_url or USUAL_DATABASE_URL
    complete = msgspec.structs.replace(settings, database_url=url)

    def prepare() -> None:
        die_with_parent()
        os.nice(NICENESS)

    return subprocess.Popen(
        [sys.executable, "-m", "control_plane", "export", "job", job_id, owner],
        env=os.environ | as_environment(complete),
        preexec_fn=prepare,  # noqa: PLW1509  # no locks are taken between fork and exec
    )


async def clear_up(services: Services) -> None:
    """Files that are offered no longer, and jobs long over. Errors as ObjectStore's and Store's."""
    async with services.store.connection() as connection:
        await connection.execute(EXPIRE)
        await connection.execute(FORGET, FORGOTTEN_AFTER_DAYS)
        jobs = [row["job_id"] for row in await connection.fetch(LITTER)]
    if not jobs:
        return
    store = await asyncio.to_thread(open_exports, services.settings)
    for job_id in jobs:
        await asyncio.to_thread(delete_files, store, str(job_id))
        async with services.store.connection() as connection:
            await connection.execute(CLEARED, job_id)
