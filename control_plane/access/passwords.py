"""Passwords, hashed with argon2id in one thread of their own.

A login storm waits in a line of bounded length for that thread; the event loop and the other cores
go on with their work.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from control_plane.errors import TooManyRequestsError

T = TypeVar("T")
# OWASP's password storage cheat sheet, argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB = 19 * 1024
PASSES = 2
MAX_WAITING = 32
RETRY_AFTER_S = 2


class Passwords:
    """Hashes and verifies, one at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="argon2")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to store, salt and parameters included. TooManyRequestsError in a storm."""
        return await self._in_line(lambda: self._hasher.hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether it is the password; without a stored hash it takes as long to say no.

        TooManyRequestsError in a storm.
        """
        return await self._in_line(lambda: self._verify(password, stored))

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, stored: str | None) -> bool:
        if stored is None:
            self._hasher.hash(password)
            return False
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_line(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise TooManyRequestsError(
                "too many people log in at this moment: try again in a few seconds", RETRY_AFTER_S
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1
