"""What recordings exist, read from the object store off the event loop and kept for a while."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from control_plane.settings import Settings
from homography.environment import Environment
from plugins.errors import ObjectStoreUnavailableError, SpotOnError
from plugins.media.object_store import open_object_store
from plugins.media.timeline import Recording
from plugins.plan import environment_recordings

KEPT_S = 30.0
PATIENCE_S = 20.0


Recordings = Mapping[str, Recording]
ReadRecordings = Callable[[Environment], Recordings]


@dataclass(frozen=True, slots=True)
class _Answer:
    at_s: float
    recordings: Recordings | None
    error: SpotOnError | None


class RecordingIndex:
    """Answers per environment; refusals are kept as well, so that a store that is away is not
    asked by every request.
    """

    def __init__(self, read: ReadRecordings, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._answers: dict[str, _Answer] = {}
        self._reading: dict[str, asyncio.Task[_Answer]] = {}

    def forget(self) -> int:
        """Lists everything anew when it is next asked for; returns how many answers were kept."""
        kept = len(self._answers)
        self._answers.clear()
        return kept

    async def read(self, environment: Environment, patience_s: float = PATIENCE_S) -> Recordings:
        """The recordings of each camera; ObjectStoreUnavailableError when the store does not
        answer within ``patience_s`` (reading goes on, so that asking again can succeed).
        """
        answer = self._answers.get(environment.environment_id)
        if answer is None or self._clock() - answer.at_s > KEPT_S:
            answer = await self._fresh(environment, patience_s)
        if answer.recordings is None:
            raise answer.error or ObjectStoreUnavailableError("the object store does not answer")
        return answer.recordings

    async def _fresh(self, environment: Environment, patience_s: float) -> _Answer:
        key = environment.environment_id
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read_off_loop(environment))
            task.add_done_callback(lambda _: self._reading.pop(key, None))
        try:
            return await asyncio.wait_for(asyncio.shield(task), patience_s)
        except TimeoutError as error:
            raise ObjectStoreUnavailableError(
                f"the object store has not listed {environment.object_store_prefix!r} within "
                f"{patience_s:.0f} s: check SPOTON_OBJECT_STORE_URL and S3_ENDPOINT_URL, or ask "
                "again: the listing goes on"
            ) from error

    async def _read_off_loop(self, environment: Environment) -> _Answer:
        try:
            recordings = await asyncio.to_thread(self._read, environment)
            answer = _Answer(self._clock(), recordings, None)
        except SpotOnError as error:
            answer = _Answer(self._clock(), None, error)
        self._answers[environment.environment_id] = answer
        return answer


def reader_of(settings: Settings) -> ReadRecordings:
    """Reads timelines from the object store the settings name."""
    # The workers' own: what they have probed is not probed again.
    index = settings.data_dir.resolve() / "cache" / "index"

    def read(environment: Environment) -> Recordings:
        store = open_object_store(settings.store_url(), endpoint_url=settings.s3_endpoint_url)
        return environment_recordings(environment, environment.cameras, store, index)

    return read
