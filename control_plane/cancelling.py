"""Ending tasks for certain."""

import asyncio
from collections.abc import Sequence
from typing import Any

AGAIN_S = 5.0


async def end_all(tasks: "Sequence[asyncio.Future[Any]]") -> None:
    """Cancels until all have ended; what they raise or return is theirs.

    Once is not always enough: whoever sets a time limit may take somebody else's cancellation for
    its own (async_timeout does, which redis-py uses before Python 3.11.3), and a loop that goes on
    after such errors would never end.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=AGAIN_S)
