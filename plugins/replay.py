"""A task's stored sets, shown again: stored tracks over the footage, without the models.

Runs beside the task, or after it, in a process of its own; what it shows goes into streams of its
own, and nothing of the task changes. It ends at the live edge of a running task, when nobody has
watched for a while, or when it has stood at the end for a while.
"""

import contextlib
import time

import cv2
import msgspec
import redis
import structlog

from homography.environment import Environment
from plugins.commands import POLL_S, listening_redis, next_commands, position_of
from plugins.errors import SpotOnError
from plugins.frames import NS_PER_S, FrameSet
from plugins.live import LiveLimits
from plugins.media.cache import ClipCache
from plugins.media.jpeg import encode_jpeg
from plugins.media.object_store import open_object_store
from plugins.media_time import to_rfc3339
from plugins.messages import (
    CameraTracks,
    Playback,
    PlaybackCommand,
    PlaybackControls,
    PlaybackFrame,
    TaskRequest,
    TrackingUpdate,
    replay_commands_list,
    replay_frames_stream,
    replay_key,
    replay_tracks_stream,
    watched_key,
)
from plugins.plan import Plan, make_plan
from plugins.plan_graph import plan_graph
from plugins.playback import Pace
from plugins.records import source_at
from plugins.stored_tracks import StoredTracks
from plugins.wire import encode_set
from plugins.worker import WorkerSettings

log = structlog.get_logger()
STATE_KEPT_S = 10
STREAMS_KEPT_S = 600
UNWATCHED_S = 60.0
EXTENT_S = 1.0


def run_replay(request: TaskRequest, environment: Environment, settings: WorkerSettings) -> None:
    """Obeys the task's replay commands and shows what they ask for, until it is over.

    A failure is told in the state's ``error``; nothing is raised for it.
    """
    cv2.setNumThreads(1)
    screen = ReplayScreen(settings, request.task_id)
    try:
        index_folder = settings.cache_dir / "index"
        store = open_object_store(settings.store_url, endpoint_url=settings.s3_endpoint_url)
        plan = make_plan(request, environment, store, index_folder)
        cache = ClipCache(settings.cache_dir, store, settings.cache_max_bytes)
        with contextlib.closing(StoredTracks(settings.database_url, request.task_id)) as tracks:
            Replay(request, plan, settings, cache=cache, tracks=tracks, screen=screen).play()
        screen.end()
    except SpotOnError as error:
        log.warning("replay_failed", task_id=request.task_id, error=str(error))
        screen.end(str(error))
    except redis.RedisError as error:
        log.warning("redis_away", remedy="the replay ends; play again", error=str(error))


class ReplayScreen:
    """Redis, as a replay sees it: commands in; sets and state out. redis.RedisError goes up."""

    def __init__(self, settings: WorkerSettings, task_id: str) -> None:
        self._task_id, self._redis = task_id, listening_redis(settings.redis_url)
        self._limits = LiveLimits(settings.frames_kept, settings.updates_kept)

    def commands(self, patience_s: float) -> list[PlaybackCommand]:
        """What has come in, oldest first; waits a little for it."""
        return next_commands(self._redis, replay_commands_list(self._task_id), patience_s)

    def is_watched(self) -> bool:
        """Whether anybody shows it."""
        return bool(self._redis.exists(watched_key(self._task_id)))

    def show(self, frame: PlaybackFrame, binary_set: bytes, state: Playback) -> None:
        """One set, and the state with it."""
        pipe = self._redis.pipeline(transaction=False)
        tracks, frames = self._streams()
        json = msgspec.json.encode(frame)
        pipe.xadd(tracks, {"json": json}, maxlen=self._limits.updates, approximate=False)
        pipe.xadd(frames, {"set": binary_set}, maxlen=self._limits.frames, approximate=False)
        self._tell(pipe, state)

    def tell(self, state: Playback) -> None:
        """The state alone."""
        self._tell(self._redis.pipeline(transaction=False), state)

    def end(self, error: str | None = None) -> None:
        """Viewers go back to what is live."""
        with contextlib.suppress(redis.RedisError):
            pipe = self._redis.pipeline(transaction=True)
            for stream in self._streams():
                pipe.xadd(stream, {"over": error or ""})
                pipe.expire(stream, STREAMS_KEPT_S)
            pipe.delete(replay_key(self._task_id), replay_commands_list(self._task_id))
            pipe.execute()
        self._redis.close()

    def _tell(self, pipe: "redis.client.Pipeline", state: Playback) -> None:
        pipe.set(replay_key(self._task_id), msgspec.json.encode(state), ex=STATE_KEPT_S)
        for stream in self._streams():
            pipe.expire(stream, STREAMS_KEPT_S)
        pipe.execute()

    def _streams(self) -> tuple[str, str]:
        return replay_tracks_stream(self._task_id), replay_frames_stream(self._task_id)


class Replay:
    """One replay: where it is, how fast, and what comes next."""

    def __init__(
        self,
        request: TaskRequest,
        plan: Plan,
        settings: WorkerSettings,
        *,
        cache: ClipCache,
        tracks: StoredTracks,
        screen: ReplayScreen,
    ) -> None:
        self._request, self._plan, self._settings = request, plan, settings
        self._cache = cache
        self._tracks, self._screen = tracks, screen
        self._pace = Pace(request.speed or 1.0, wait=self._attend)
        self._shown: FrameSet | None = None
        self._next_index = 0
        self._is_over = self._is_sought = False
        self._last: PlaybackCommand | None = None
        self._changed_at: str | None = None
        self._told_at = self._watched_at = self._measured_at = time.monotonic()
        self._extent = tracks.extent()

    @property
    def is_closed(self) -> bool:
        """Whether the sets that are being decoded are no longer wanted."""
        return self._is_over or self._is_sought or self._next_index > self._extent.last_index

    def play(self) -> None:
        """Until it is over."""
        while not self._is_over:
            self._attend(0)
            if self._next_index > self._extent.last_index and not self._is_sought:
                self._rest()
            elif not self._is_over:
                self._play_from(self._next_index)

    def put(self, frame_set: FrameSet) -> bool:
        """Shows a set; part of what a pace hands sets to."""
        self._show(frame_set)
        self._attend(0)
        return True

    put_now = put

    def _play_from(self, index: int) -> None:
        with plan_graph(
            self._plan, self._cache, index, patience_s=self._settings.service_patience_s
        ) as graph:
            sets = graph.sets()
            first = next(sets, None)
            if first is None:
                self._next_index, self._is_sought = self._extent.last_index + 1, False
                return
            self._show(first)  # a sought set is shown even while it is paused
            self._is_sought = False
            self._pace.change_speed(self._pace.speed)  # time counts from here
            self._pace.release(sets, self)

    def _rest(self) -> None:
        """At the end of what is stored: back to live, or waiting for a command."""
        if not self._extent.has_ended:
            self._is_over = True
            return
        self._pace.pause()
        self._attend(POLL_S)

    def _attend(self, patience_s: float) -> None:
        """Obeys commands, tells the state, notices that nobody watches."""
        while commands := self._screen.commands(patience_s):
            patience_s = 0.0
            for command in commands:
                self._obey(command)
        now = time.monotonic()
        if now - self._measured_at > EXTENT_S:
            self._measured_at, self._extent = now, self._tracks.extent()
            if self._screen.is_watched():
                self._watched_at = now
            self._is_over = self._is_over or now - self._watched_at > UNWATCHED_S
        if now - self._told_at > POLL_S:
            self._told_at = now
            self._screen.tell(self._describe())

    def _obey(self, command: PlaybackCommand) -> None:
        self._last, self._changed_at = command, to_rfc3339(time.time_ns())
        self._watched_at, self._told_at = time.monotonic(), 0.0
        match command.type:
            case "play":
                if self._next_index > self._extent.last_index:
                    self._seek(self._plan.start_ns)
                self._pace.play()
            case "pause":
                self._pace.pause()
            case "speed":
                self._pace.change_speed(command.speed or 1.0)
            case "seek":
                self._seek(self._plan.start_ns if command.time_ns is None else command.time_ns)
            case "stop":
                self._is_over = True

    def _seek(self, time_ns: int) -> None:
        slots = (time_ns - self._plan.start_ns) * self._plan.rate_hz / NS_PER_S
        self._next_index = min(max(int(slots + 1e-6), 0), max(self._extent.last_index, 0))
        self._is_sought = True

    def _show(self, frame_set: FrameSet) -> None:
        self._shown, self._next_index = frame_set, frame_set.index + 1
        update = self._update(frame_set)
        quality = self._settings.jpeg_quality
        jpegs = {c: encode_jpeg(f, quality) for c, f in frame_set.frames.items()}
        binary_set = encode_set(
            frame_set.index,
            frame_set.media_time_ns,
            msgspec.json.encode(update),
            jpegs,
            quality,
            is_incomplete=len(jpegs) < len(self._plan.cameras),
        )
        state = self._describe()
        controls = PlaybackControls(state.position, state.duration_s, can_seek=True)
        frame = PlaybackFrame(update.timestamp_media_utc, state.speed, update, controls)
        self._told_at = time.monotonic()
        self._screen.show(frame, binary_set, state)

    def _update(self, frame_set: FrameSet) -> TrackingUpdate:
        stored = self._tracks.of_set(frame_set.index)
        cameras = {
            camera_id: CameraTracks(
                source_at(self._plan.recordings[camera_id].sub_videos, frame.media_time_ns),
                frame.width,
                frame.height,
                stored.get(camera_id, []),
            )
            for camera_id, frame in frame_set.frames.items()
        }
        return TrackingUpdate(
            frame_set.index,
            self._request.environment_id,
            to_rfc3339(frame_set.media_time_ns),
            to_rfc3339(time.time_ns()),
            cameras,
            {camera_id: len(view.tracks) for camera_id, view in cameras.items()},
        )

    def _describe(self) -> Playback:
        plan, shown, pace = self._plan, self._shown, self._pace
        time_ns = plan.start_ns if shown is None else shown.media_time_ns
        return Playback(
            mode="replay",
            state="seeking" if self._is_sought else "paused" if pace.is_paused else "playing",
            speed=pace.speed,
            position=position_of(time_ns, plan.start_ns, plan.end_ns),
            timestamp_media_utc=None if shown is None else to_rfc3339(time_ns),
            frame_index=-1 if shown is None else shown.index,
            start=to_rfc3339(plan.start_ns),
            end=to_rfc3339(plan.end_ns),
            duration_s=(plan.end_ns - plan.start_ns) / NS_PER_S,
            last_transition_at=self._changed_at,
            last_command=self._last.type if self._last else None,
            by=self._last.by if self._last else None,
        )
