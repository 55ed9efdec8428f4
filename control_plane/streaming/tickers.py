"""What is said once a second to all who listen on a channel, made once however many they are."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
from redis.exceptions import RedisError

from control_plane.streaming.outboxes import Outbox
from plugins.errors import SpotOnError

log = structlog.get_logger()
PERIOD_S = 1.0
Say = Callable[[], Awaitable[list[str]]]


class Ticker:
    """One channel; runs while somebody listens. A round that fails is left out."""

    def __init__(self, say: Say) -> None:
        self.outboxes: set[Outbox] = set()
        self._say = say
        self._newest: list[str] = []
        self._is_stopped = False
        self._task = asyncio.create_task(self._run())

    def add(self, outbox: Outbox) -> None:
        """Tells a listener what was said last, and everything from now on."""
        self.outboxes.add(outbox)
        for text in self._newest[:1]:
            outbox.reply(text)

    def stop(self) -> None:
        """Nobody listens any more."""
        self._is_stopped = True
        self._task.cancel()

    async def _run(self) -> None:
        while not self._is_stopped:
            try:
                self._newest = await self._say()
            except (SpotOnError, RedisError) as error:
                log.warning("tick_left_out", error=str(error))
                self._newest = []
            for text in self._newest:
                for outbox in self.outboxes:
                    outbox.reply(text)
            await asyncio.sleep(PERIOD_S)


class Tickers:
    """The channels of this process by name."""

    def __init__(self) -> None:
        self._tickers: dict[str, Ticker] = {}

    @contextmanager
    def subscribed(self, name: str, outbox: Outbox, make: Callable[[], Say]) -> Iterator[None]:
        """Inside the block ``outbox`` gets what the channel says; ``make`` begins it."""
        if name not in self._tickers:
            self._tickers[name] = Ticker(make())
        ticker = self._tickers[name]
        ticker.add(outbox)
        try:
            yield
        finally:
            ticker.outboxes.discard(outbox)
            if not ticker.outboxes:
                ticker.stop()
                with contextlib.suppress(KeyError):
                    del self._tickers[name]

    def close(self) -> None:
        """Ends every channel."""
        for ticker in self._tickers.values():
            ticker.stop()
