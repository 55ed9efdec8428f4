"""What one set's result becomes: the live update, and rows for the history."""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from plugins.encryption import Cipher
from plugins.frames import CropRequest, FrameSet
from plugins.history import Batch, Exchange, Row
from plugins.media.timeline import SubVideo
from plugins.media_time import to_datetime, to_rfc3339
from plugins.messages import CameraTracks, TrackingUpdate
from plugins.person_crops import CropChooser, checkpoint_purpose, embedding_purpose
from plugins.processed_minutes import ProcessedMinutes
from plugins.tracking.results import SetResult

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tracker's state after a set, and the looks of those seen since the last one."""

    state: bytes
    embeddings: Mapping[str, Vector]
    embedding_model: str


NO_CHECKPOINT = Checkpoint(b"", {}, "")


@dataclass(frozen=True, slots=True)
class TaskNames:
    """What every row of a task repeats."""

    task_id: str
    environment_id: str


def tracking_update(
    frame_set: FrameSet,
    result: SetResult,
    names: TaskNames,
    sources: Mapping[str, str],
    now_ns: int,
    *,
    age_ns: int = 0,
    stage_ms: Mapping[str, float] = MappingProxyType({}),
) -> TrackingUpdate:
    """The payload of ``tracking_update``; ``sources`` maps cameras to the sub-video's key. The set
    arrived ``age_ns`` ago, and each stage took ``stage_ms`` for it.
    """
    cameras = {
        camera_id: CameraTracks(
            sources.get(camera_id, ""), frame.width, frame.height, result.tracks.get(camera_id, [])
        )
        for camera_id, frame in frame_set.frames.items()
    }
    return TrackingUpdate(
        global_frame_index=frame_set.index,
        scene_id=names.environment_id,
        timestamp_media_utc=to_rfc3339(frame_set.media_time_ns),
        timestamp_processed_utc=to_rfc3339(now_ns),
        cameras=cameras,
        person_count_per_camera={c: len(view.tracks) for c, view in cameras.items()},
        arrived_utc=to_rfc3339(now_ns - age_ns),
        stage_ms=dict(stage_ms),
    )


def source_at(sub_videos: Sequence[SubVideo], media_time_ns: int) -> str:
    """Key of the sub-video that holds a moment; empty in a gap."""
    k = bisect.bisect_right(sub_videos, media_time_ns, key=lambda clip: clip.start_ns) - 1
    if k < 0 or media_time_ns >= sub_videos[k].start_ns + sub_videos[k].duration_ns:
        return ""
    return sub_videos[k].key


@dataclass(slots=True)
class _Sighting:
    first: datetime
    last: datetime
    cameras: set[str] = field(default_factory=set)


class BatchBuilder:
    """Gathers the rows of consecutive sets until the next checkpoint.

    Without a ``cipher`` neither embeddings nor crops are stored.
    """

    def __init__(self, names: TaskNames, cipher: Cipher | None = None) -> None:
        self._names = names
        self._cipher = cipher
        self._crops = None if cipher is None else CropChooser(names.task_id, cipher)
        self._last_index = -1
        self._minutes = ProcessedMinutes(names.task_id, names.environment_id)
        self._clear()

    @property
    def sets(self) -> int:
        """How many sets have been added since the last batch."""
        return self._sets

    def add_crops(
        self, frame_set: FrameSet, result: SetResult, wanted: Sequence[CropRequest]
    ) -> None:
        """Pictures of the ``wanted`` tracks of a set, before its rows are added."""
        if self._crops is not None:
            self._crops.add(frame_set, result.tracks, wanted)

    def add(self, frame_set: FrameSet, result: SetResult) -> None:
        """Rows of one set."""
        self._sets += 1
        self._last_index = frame_set.index
        self._minutes.add(frame_set, result.tracks)
        self._add_events(frame_set, result)
        time = to_datetime(frame_set.media_time_ns)
        task_id, environment_id = self._names.task_id, self._names.environment_id
        for p in result.positions:
            x, y = map(float, p.position_m)
            speed = float(np.hypot(*p.velocity_mps))
            self._trajectories.append(
                (
                    time,
                    environment_id,
                    task_id,
                    frame_set.index,
                    p.global_id,
                    x,
                    y,
                    speed,
                    float(p.uncertainty_m),
                    list(p.camera_ids),
                )
            )
        self._exchanges += [
            Exchange(c.old_id, c.new_id, c.since_index, frame_set.index, len(self._merges))
            for c in result.corrections
        ]
        for ordinal, d in enumerate(result.decisions):
            self._decisions.append(
                (
                    task_id,
                    frame_set.index,
                    ordinal,
                    time,
                    d.camera_id,
                    d.track_id,
                    d.verdict,
                    d.global_id,
                    d.other_global_id,
                    d.cosine,
                    d.metres,
                    d.seconds,
                    d.threshold,
                    d.log_likelihood,
                    d.reason,
                )
            )
            if d.verdict == "merged" and d.global_id and d.other_global_id:
                self._merges.append((d.other_global_id, d.global_id))

    def build(self, checkpoint: Checkpoint) -> Batch:
        """The batch up to the set that was added last."""
        batch = Batch(
            self._last_index,
            self._sealed(checkpoint.state),
            self._events,
            self._trajectories,
            self._decisions,
            [self._person(g, s, checkpoint) for g, s in sorted(self._seen.items())],
            self._merges,
            self._minutes.take(self._last_index),
            [] if self._crops is None else self._crops.take(),
            self._exchanges,
        )
        self._clear()
        return batch

    def _sealed(self, state: bytes) -> bytes:
        """A tracker's state holds looks, too."""
        if self._cipher is None or not state:
            return state
        return self._cipher.encrypt(state, checkpoint_purpose(self._names.task_id))

    def _clear(self) -> None:
        self._sets = 0
        self._events: list[Row] = []
        self._trajectories: list[Row] = []
        self._decisions: list[Row] = []
        self._merges: list[tuple[str, str]] = []
        self._exchanges: list[Exchange] = []
        self._seen: dict[str, _Sighting] = {}

    def _add_events(self, frame_set: FrameSet, result: SetResult) -> None:
        for camera_id, tracks in result.tracks.items():
            frame = frame_set.frames.get(camera_id)
            time = to_datetime(frame.media_time_ns if frame else frame_set.media_time_ns)
            for t in tracks:
                x, y = t.map_coords or (None, None)
                self._events.append(
                    (
                        time,
                        self._names.environment_id,
                        self._names.task_id,
                        camera_id,
                        frame_set.index,
                        t.track_id,
                        t.global_id,
                        *t.bbox_xyxy,
                        t.confidence,
                        x,
                        y,
                        t.map_uncertainty_m,
                    )
                )
                if t.global_id:
                    self._see(t.global_id, time, camera_id)
        if self._crops is not None:
            self._crops.settle(frame_set.index, result.tracks)

    def _see(self, global_id: str, time: datetime, camera_id: str) -> None:
        seen = self._seen.setdefault(global_id, _Sighting(time, time))
        seen.first, seen.last = min(seen.first, time), max(seen.last, time)
        seen.cameras.add(camera_id)

    def _person(self, global_id: str, seen: _Sighting, checkpoint: Checkpoint) -> Row:
        embedding = checkpoint.embeddings.get(global_id)
        vector = None
        if embedding is not None and self._cipher is not None:
            purpose = embedding_purpose(self._names.task_id)
            vector = self._cipher.encrypt(embedding.astype("<f4").tobytes(), purpose)
        model = None if vector is None else checkpoint.embedding_model
        return (
            global_id,
            self._names.environment_id,
            self._names.task_id,
            seen.first,
            seen.last,
            sorted(seen.cameras),
            model,
            vector,
        )
