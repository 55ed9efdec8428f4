"""A job's lease, kept up by a thread while the job's process makes the file."""

import asyncio
import threading
import time
import uuid
from types import TracebackType
from typing import Self

import structlog

from control_plane.exports.jobs import LEASE_S, RENEW
from control_plane.store import Store
from plugins.errors import DatabaseUnavailableError, LeaseLostError

log = structlog.get_logger()
BEAT_S = 2.0


class Lease:
    """``with Lease(url, job_id, owner) as lease``: renews it; ``lease.report`` tells the progress
    and raises LeaseLostError once the job was cancelled or is somebody else's.
    """

    def __init__(self, database_url: str, job_id: str, owner: str) -> None:
        self._url, self._job_id, self._owner = database_url, uuid.UUID(job_id), owner
        self._progress = 0.0
        self._ended, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(LEASE_S)

    def report(self, progress: float) -> None:
        """From 0 to 1."""
        if self._lost.is_set():
            raise LeaseLostError(f"export {self._job_id} was cancelled, or another has taken it")
        self._progress = progress

    def _run(self) -> None:
        asyncio.run(self._keep())

    async def _keep(self) -> None:
        store, renewed_s = Store(self._url), time.monotonic()
        try:
            while not await asyncio.to_thread(self._ended.wait, BEAT_S):
                try:
                    if not await self._renew(store):
                        self._lost.set()
                        return
                    renewed_s = time.monotonic()
                except DatabaseUnavailableError as error:
                    log.warning("database_away", error=str(error))
                    if time.monotonic() - renewed_s > LEASE_S:
                        self._lost.set()
                        return
        finally:
            await store.close()

    async def _renew(self, store: Store) -> bool:
        async with store.connection() as connection:
            values = (self._job_id, self._owner, LEASE_S, self._progress)
            return bool(await connection.fetchval(RENEW, *values))
