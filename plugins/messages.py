"""What crosses processes: the worker writes these, the control plane and browsers read them.

All are msgspec Structs, JSON on the wire. Field names are those of the public contract.
Redis keys live here too, so that writer and readers agree.
"""

from typing import Literal

import msgspec

TaskStatus = Literal[
    "QUEUED",
    "INITIALIZING",
    "DOWNLOADING",
    "EXTRACTING",
    "PROCESSING",
    "COMPLETED",
    "FAILED",
    "STOPPED",
]
TERMINAL_STATUSES: frozenset[TaskStatus] = frozenset({"COMPLETED", "FAILED", "STOPPED"})


class Track(msgspec.Struct, frozen=True):
    """One person in one camera at one moment.

    ``map_coords`` is (x, y) in metres on the environment's ground plane, null where the foot
    point cannot be mapped; ``map_uncertainty_m`` is the larger standard deviation of it.
    ``detection_time`` is RFC 3339 media time; ``tracking_duration`` is seconds since the track
    began.
    """

    track_id: int
    global_id: str | None
    bbox_xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    map_coords: tuple[float, float] | None
    map_uncertainty_m: float | None
    is_focused: bool
    detection_time: str
    tracking_duration: float


class CameraTracks(msgspec.Struct, frozen=True):
    """What one camera sees in one set. ``image_source`` is the sub-video's key or empty."""

    image_source: str
    frame_width: int
    frame_height: int
    tracks: list[Track]


class TrackingUpdate(msgspec.Struct, frozen=True):
    """Payload of ``tracking_update``: one synchronised set.

    ``stage_ms`` maps each stage to what it took for this set, in milliseconds; by the computer's
    clock the set was complete at ``arrived_utc`` and published at ``timestamp_processed_utc``.
    """

    global_frame_index: int
    scene_id: str
    timestamp_media_utc: str
    timestamp_processed_utc: str
    cameras: dict[str, CameraTracks]
    person_count_per_camera: dict[str, int]
    focus_person_id: str | None = None
    arrived_utc: str | None = None
    stage_ms: dict[str, float] = {}


class CameraProgress(msgspec.Struct):
    """Per-camera part of a task's status. ``error`` is one line, null when all is well."""

    frames: int = 0
    missing: int = 0
    corrupt: int = 0
    fps: float = 0.0
    error: str | None = None


class StageHistogram(msgspec.Struct):
    """Durations of one stage: how many fell into each bucket of ``timing.BUCKETS_S`` (one more for
    those above all), and their sum in seconds.
    """

    counts: list[int]
    sum_s: float


class TaskProgress(msgspec.Struct):
    """A task's live state; the whole of ``GET processing-tasks/{id}/status`` beside its row.

    ``progress`` is 0..1 of media time; ``eta_s`` is null until it can be known. ``stage_ms`` maps
    a stage's name to its p50, p95 and p99 in milliseconds; ``stage_histograms`` has all durations
    since the worker began; ``queues`` is how many sets wait before each stage.
    """

    status: TaskStatus = "QUEUED"
    progress: float = 0.0
    sets: int = 0
    dropped: int = 0
    persons: int = 0
    sets_per_s: float = 0.0
    frame_index: int = -1
    eta_s: float | None = None
    error: str | None = None
    message: str = ""
    cameras: dict[str, CameraProgress] = msgspec.field(default_factory=dict)
    stage_ms: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    stage_histograms: dict[str, StageHistogram] = msgspec.field(default_factory=dict)
    queues: dict[str, int] = msgspec.field(default_factory=dict)


class TaskRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker needs to know to run a task. Times are RFC 3339; null means the recording's own
    start or end. ``speed`` is a factor of real time; null means as fast as the machine can, and
    then no set is ever dropped. ``seed`` names the identities: same input and seed, same ids.
    """

    task_id: str
    environment_id: str
    cameras: list[str]
    start_time: str | None = None
    end_time: str | None = None
    speed: float | None = 1.0
    seed: int | None = None


class PlaybackCommand(msgspec.Struct, frozen=True):
    """What a viewer wants of a task. ``time_ns`` is media time, for ``seek``; ``speed`` for
    ``speed``; ``by`` is who asked.
    """

    type: Literal["play", "pause", "seek", "speed", "stop"]
    time_ns: int | None = None
    speed: float | None = None
    by: str | None = None


class Playback(msgspec.Struct, frozen=True):
    """How a task plays. In mode ``live`` the worker processes new sets; in ``replay`` stored sets
    are shown again. ``seeking``: at full speed until the place that was asked for.

    ``position`` is 0..1 of ``start`` to ``end`` (media time, RFC 3339); ``speed`` null is as fast
    as the machine can; ``last_command`` and ``by`` are the newest command and who gave it;
    ``error`` says why it was not obeyed.
    """

    mode: Literal["live", "replay"]
    state: Literal["playing", "paused", "seeking", "stopped"]
    speed: float | None
    position: float
    timestamp_media_utc: str | None
    frame_index: int
    start: str
    end: str
    duration_s: float
    can_seek: bool = True
    last_transition_at: str | None = None
    last_command: str | None = None
    by: str | None = None
    error: str | None = None


class PlaybackControls(msgspec.Struct, frozen=True):
    """Where a replay is: ``position`` 0..1, ``duration`` in seconds of media time."""

    position: float
    duration: float
    can_seek: bool


class PlaybackFrame(msgspec.Struct, frozen=True):
    """Payload of ``playback_frame``: a stored set, shown again. ``timestamp`` is media time."""

    timestamp: str
    playback_speed: float | None
    frame_data: TrackingUpdate
    playback_controls: PlaybackControls


def progress_key(task_id: str) -> str:
    """Redis string: JSON of TaskProgress, rewritten about four times a second."""
    return f"spoton:task:{task_id}:progress"


def tracks_stream(task_id: str) -> str:
    """Redis stream of TrackingUpdate JSON (field ``json``); entry id is ``{frame_index + 1}-0``."""
    return f"spoton:task:{task_id}:tracks"


def frames_stream(task_id: str) -> str:
    """Redis stream of binary sets (field ``set``, see ``wire.py``); ids as in tracks_stream."""
    return f"spoton:task:{task_id}:frames"


def commands_list(task_id: str) -> str:
    """Redis list of PlaybackCommand JSON to the worker, read from the left."""
    return f"spoton:task:{task_id}:commands"


def playback_key(task_id: str) -> str:
    """Redis string: JSON of the worker's Playback, rewritten a few times a second."""
    return f"spoton:task:{task_id}:playback"


def replay_key(task_id: str) -> str:
    """Redis string: JSON of the replay's Playback; there only while one runs or is about to."""
    return f"spoton:task:{task_id}:replay"


def replay_commands_list(task_id: str) -> str:
    """As commands_list, to the process that replays."""
    return f"spoton:task:{task_id}:replay:commands"


def replay_tracks_stream(task_id: str) -> str:
    """Redis stream of PlaybackFrame JSON (field ``json``); an entry with ``over`` ends a replay."""
    return f"spoton:task:{task_id}:replay:tracks"


def replay_frames_stream(task_id: str) -> str:
    """Redis stream of the replay's binary sets (field ``set``), and ``over`` as in tracks."""
    return f"spoton:task:{task_id}:replay:frames"


def watched_key(task_id: str) -> str:
    """Redis string that lives while somebody watches the task's replay."""
    return f"spoton:task:{task_id}:watched"


REPLAY_REQUESTS = "spoton:replays"  # Redis list of task ids; a worker starts a replay of each


class WorkerState(msgspec.Struct, frozen=True):
    """What a worker process says of itself every second; it expires when the worker is gone."""

    owner: str
    task_ids: list[str]
    profile: str = "cpu"

    def encode(self) -> bytes:
        """JSON, as Redis holds it."""
        return msgspec.json.encode(self)


def worker_key(owner: str) -> str:
    """Redis string with a short life: JSON of WorkerState."""
    return f"spoton:worker:{owner}"
