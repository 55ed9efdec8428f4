"""One task, top to bottom: list → fetch → decode → detect → track → publish → store.

Each stage runs in a thread of its own, a bounded queue behind it (``playback.Ahead``): while one
set is with the detector, the next is decoded and the one before is published. Two sets are on their
way to the detector and back, so that it never waits for one.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import msgspec
import structlog

from homography.environment import Environment
from plugins.commands import CommandListener, PlaybackDesk
from plugins.deepstream.configuration import DeepStreamSettings
from plugins.encryption import Cipher, MasterKey
from plugins.errors import DatabaseUnavailableError, LeaseLostError, SpotOnError
from plugins.frame_path import DescribesPeople, FramePath, frame_path
from plugins.frames import NS_PER_S, CropRequest, Detections, Frame, FrameSet
from plugins.gst.cpu_graph import CpuGraph
from plugins.history import History, StoredState, read_cipher, wait_for_state
from plugins.inference.cosines import tracking_parameters
from plugins.inference.detector import Detector
from plugins.inference.embedder import Embedder
from plugins.inference.triton_client import Triton
from plugins.live import LiveLimits, LivePublisher
from plugins.media.cache import ClipCache
from plugins.media.object_store import ObjectStore, open_object_store
from plugins.media_time import to_datetime
from plugins.messages import TaskProgress, TaskRequest
from plugins.person_crops import checkpoint_purpose
from plugins.plan import Plan, known_problems, make_plan, recorded_plane
from plugins.plan_graph import plan_graph
from plugins.playback import Ahead, Pace, run_ahead
from plugins.progress import OnProgress, ProgressReport
from plugins.records import (
    NO_CHECKPOINT,
    BatchBuilder,
    Checkpoint,
    TaskNames,
    source_at,
    tracking_update,
)
from plugins.timing import StageTimes
from plugins.tracing import open_tracing, traced_sets
from plugins.tracking.results import SetResult
from plugins.tracking.tracker import Tracker
from plugins.wire import encode_set

log = structlog.get_logger()
CHECKPOINT_SETS = 20
CHECKPOINT_S = 2.0
QUEUE_DEPTH = 2
JPEG_THREADS = 2
DETECTIONS_AT_ONCE = 2
JOIN_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Where the services are, and how much a task may keep."""

    database_url: str
    redis_url: str
    triton_url: str
    store_url: str
    s3_endpoint_url: str | None
    cache_dir: Path
    cache_max_bytes: int
    frames_kept: int
    updates_kept: int
    jpeg_quality: int
    score_threshold: float
    model_repository: Path | None = None
    service_patience_s: float = 60.0
    master_key: MasterKey | None = None
    """Without it neither crops nor embeddings are stored."""
    deepstream: DeepStreamSettings | None = None
    """Set on the GPU profile."""
    tracing_url: str | None = None


@dataclass(frozen=True, slots=True)
class DetectedSet:
    """A set on its way through the detector; its JPEGs are being made meanwhile."""

    frame_set: FrameSet
    detections: "Future[Mapping[str, Detections]]"
    jpegs: Mapping[str, "Future[bytes]"]


@dataclass(frozen=True, slots=True)
class TrackedSet:
    """A set with identities, the crops they were told by, and a checkpoint when one was due."""

    detected: DetectedSet
    result: SetResult
    wanted: Sequence[CropRequest]
    checkpoint: Checkpoint | None


def run_task(
    request: TaskRequest,
    environment: Environment,
    settings: WorkerSettings,
    owner: str,
    on_progress: OnProgress = lambda _: None,
    *,
    stop: threading.Event | None = None,
) -> TaskProgress:
    """Runs a task whose lease ``owner`` holds, from its last stored set to the end or ``stop``.

    Returns the final state, FAILED included: then ``error`` says what to do. LeaseLostError and
    DatabaseUnavailableError are raised: the task goes on in another worker, or later. So it does
    after SystemExit or KeyboardInterrupt.
    """
    cv2.setNumThreads(1)
    structlog.contextvars.bind_contextvars(task_id=request.task_id)
    run = TaskRun(
        request,
        environment,
        settings,
        owner,
        on_progress=on_progress,
        stop=stop or threading.Event(),
    )
    try:
        run.play()
    except (LeaseLostError, DatabaseUnavailableError, SystemExit, KeyboardInterrupt):
        run.abandon()
        raise
    except SpotOnError as error:
        run.fail(str(error))
    except Exception as error:
        log.exception("task_crashed")
        run.fail(f"unexpected {type(error).__name__}: {error}; the worker's log has the details")
    return run.report.finish()


class TaskRun:
    """The parts one running task holds, and the stages that pass its sets along."""

    def __init__(
        self,
        request: TaskRequest,
        environment: Environment,
        settings: WorkerSettings,
        owner: str,
        *,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> None:
        self.request, self.environment, self.settings = request, environment, settings
        self.stop = stop
        self.names = TaskNames(request.task_id, environment.environment_id)
        self._tracing = open_tracing(settings.tracing_url)
        traced = traced_sets(self._tracing, request.task_id) if self._tracing else None
        self.times = StageTimes(traced)
        self.pace = Pace(request.speed)
        self.history = History(settings.database_url, request.task_id, owner, stop)
        limits = LiveLimits(settings.frames_kept, settings.updates_kept)
        self.live = LivePublisher(settings.redis_url, request.task_id, limits)
        self.report = ProgressReport(self.history, self.live, self.times, stop, on_progress)
        self.rows = BatchBuilder(self.names)
        self._checkpoint_at = time.monotonic()
        self._threads: list[threading.Thread] = []
        self._queues: dict[str, Ahead[Any]] = {}

    def play(self) -> None:
        """All of it, until the recordings end or somebody stops the task."""
        self.report.enter("INITIALIZING", "connecting to the database and to Triton")
        stored = wait_for_state(
            self.settings.database_url, self.request.task_id, self.settings.service_patience_s
        )
        self.report.resume(stored)
        self.pace.dropped = stored.dropped
        cipher = self._cipher()
        self.rows = BatchBuilder(self.names, cipher)
        if cipher is not None and stored.checkpoint:
            state = cipher.decrypt(stored.checkpoint, checkpoint_purpose(self.names.task_id))
            stored = replace(stored, checkpoint=state)
        with contextlib.ExitStack() as stack:
            triton = stack.enter_context(contextlib.closing(self._triton()))
            detector = Detector(
                triton,
                score_threshold=self.settings.score_threshold,
                at_once=DETECTIONS_AT_ONCE,
            )
            embedder = Embedder(triton)
            plan = self._plan()
            tracker = self._tracker(plan, embedder.model_version, stored)
            stack.callback(self._join)
            stack.enter_context(contextlib.closing(self._commands(plan)))
            path = stack.enter_context(self._path(plan, detector, embedder))
            graph = stack.enter_context(self._graph(plan, stored.frame_index + 1, path))
            encoders = stack.enter_context(ThreadPoolExecutor(JPEG_THREADS, "jpeg"))
            sets: Ahead[FrameSet] = self._stage(stack, "align", lambda out: self._align(graph, out))
            detected: Ahead[DetectedSet] = self._stage(
                stack, "detect", lambda out: self._detect(sets, path, encoders, out), depth=1
            )
            tracked: Ahead[TrackedSet] = self._stage(
                stack, "track", lambda out: self._track(detected, tracker, path.embedder, out)
            )
            self._deliver(tracked, plan, graph)
        self.report.require_pictures()
        self.report.end("STOPPED" if self.stop.is_set() else "COMPLETED")

    def fail(self, error: str) -> None:
        """FAILED, with the one line that says what to do."""
        log.error("task_failed", error=error)
        if self.history.failure is None:
            self._store_rest()
        self.report.end("FAILED", error)

    def abandon(self) -> None:
        """Leaves the task to the worker that holds it now."""
        self.history.abandon()
        self.live.close()

    def _cipher(self) -> Cipher | None:
        key = self.settings.master_key
        return None if key is None else asyncio.run(read_cipher(self.settings.database_url, key))

    def _triton(self) -> Triton:
        settings = self.settings
        return Triton(
            settings.triton_url,
            deadline_s=settings.service_patience_s,
            repository=settings.model_repository,
        )

    def _plan(self) -> Plan:
        self.report.enter("DOWNLOADING", "listing the recordings")
        index_folder = self.settings.cache_dir / "index"
        plan = make_plan(self.request, self.environment, self._store(), index_folder)
        self.history.expect(to_datetime(plan.start_ns), to_datetime(plan.end_ns))
        self.report.expect(known_problems(plan))
        return plan

    def _store(self) -> ObjectStore:
        return open_object_store(
            self.settings.store_url, endpoint_url=self.settings.s3_endpoint_url
        )

    def _path(
        self, plan: Plan, detector: Detector, embedder: Embedder
    ) -> contextlib.AbstractContextManager[FramePath]:
        playable = [c for c, recording in plan.recordings.items() if recording.sub_videos]
        return frame_path(self.settings.deepstream, playable, detector, embedder)

    def _graph(
        self, plan: Plan, start_index: int, path: FramePath
    ) -> contextlib.AbstractContextManager[CpuGraph]:
        self.report.enter("EXTRACTING", "fetching the first sub-videos and starting the decoders")
        settings = self.settings
        cache = ClipCache(settings.cache_dir, self._store(), settings.cache_max_bytes)
        return plan_graph(
            plan,
            cache,
            start_index,
            patience_s=settings.service_patience_s,
            open_decoder=path.open_decoder,
        )

    def _tracker(self, plan: Plan, embedding_model: str, stored: StoredState) -> Tracker:
        planes = {
            c.camera_id: recorded_plane(c, plan.recordings[c.camera_id]) for c in plan.cameras
        }
        parameters = tracking_parameters(self.settings.model_repository, embedding_model)
        if stored.checkpoint:
            log.info("task_resumed", frame_index=stored.frame_index + 1)
            return Tracker.restore(stored.checkpoint, planes, parameters)
        seed = self.request.task_id if self.request.seed is None else str(self.request.seed)
        identity_seed = f"{self.environment.environment_id}/{seed}"
        return Tracker(planes, parameters, identity_seed, embedding_model)

    def _stage(
        self,
        stack: contextlib.ExitStack,
        name: str,
        source: Callable[[Ahead[T]], None],
        depth: int = QUEUE_DEPTH,
    ) -> Ahead[T]:
        ahead, thread = run_ahead(source, depth, name, self.stop)
        self._threads.append(thread)
        self._queues[name] = ahead
        stack.callback(ahead.close)
        return ahead

    def _commands(self, plan: Plan) -> CommandListener:
        desk = PlaybackDesk(self.pace, plan.start_ns, plan.end_ns, self.stop)
        return CommandListener(self.settings.redis_url, self.request.task_id, desk)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(JOIN_S)

    def _align(self, graph: CpuGraph, out: Ahead[FrameSet]) -> None:
        self.pace.release(graph.sets(), out)

    def _detect(
        self,
        sets: Iterable[FrameSet],
        path: FramePath,
        encoders: ThreadPoolExecutor,
        out: Ahead[DetectedSet],
    ) -> None:
        with ThreadPoolExecutor(DETECTIONS_AT_ONCE, "detect") as detectors:
            for frame_set in sets:
                jpegs = {
                    c: encoders.submit(self._encode, path, f, frame_set.index)
                    for c, f in frame_set.frames.items()
                }
                detections = detectors.submit(self._find, path, frame_set)
                if not out.put(DetectedSet(frame_set, detections, jpegs)):
                    return

    def _find(self, path: FramePath, frame_set: FrameSet) -> Mapping[str, Detections]:
        with self.times.measure("detect", frame_set.index):
            found = path.detector.detect(list(frame_set.frames.values()))
        return dict(zip(frame_set.frames, found, strict=True))

    def _encode(self, path: FramePath, frame: Frame, index: int) -> bytes:
        with self.times.measure("encode", index):
            return path.encode(frame, self.settings.jpeg_quality)

    def _track(
        self,
        detected: Iterable[DetectedSet],
        tracker: Tracker,
        embedder: DescribesPeople,
        out: Ahead[TrackedSet],
    ) -> None:
        seen: set[str] = set()
        for item in detected:
            frames, index = item.frame_set.frames, item.frame_set.index
            detections = item.detections.result()
            with self.times.measure("track", index):
                wanted = tracker.associate(index, item.frame_set.media_time_ns, detections)
            with self.times.measure("embed", index):
                crops = [(frames[w.camera_id], w.bbox_xyxy) for w in wanted]
                embeddings = embedder.embed(crops)
            with self.times.measure("match", index):
                # Triton may have come back with another model: its vectors begin a new gallery.
                model = embedder.model_version
                parameters = tracking_parameters(self.settings.model_repository, model)
                tracker.use_embedding_model(model, parameters)
                result = tracker.identify(embeddings)
            seen.update(t.global_id for c in result.tracks.values() for t in c if t.global_id)
            checkpoint = None
            if self._is_checkpoint_due(item.frame_set):
                checkpoint = Checkpoint(
                    tracker.snapshot(), tracker.embeddings_of(seen), embedder.model_version
                )
                seen.clear()
            if not out.put(TrackedSet(item, result, wanted, checkpoint)):
                return

    def _is_checkpoint_due(self, frame_set: FrameSet) -> bool:
        now = time.monotonic()
        if frame_set.index % CHECKPOINT_SETS and now - self._checkpoint_at < CHECKPOINT_S:
            return False
        self._checkpoint_at = now
        return True

    def _deliver(self, tracked: Iterable[TrackedSet], plan: Plan, graph: CpuGraph) -> None:
        frame_set: FrameSet | None = None
        for item in tracked:
            if frame_set is None:
                self.report.enter("PROCESSING")
            frame_set = item.detected.frame_set
            self._publish(item, plan)
            self.rows.add_crops(frame_set, item.result, item.wanted)
            self.rows.add(frame_set, item.result)
            if item.checkpoint is not None:
                self.history.add(self.rows.build(item.checkpoint))
            self.report.count(frame_set, item.result)
            if self.report.is_due():
                self._report(frame_set, plan, graph)
        if frame_set is not None:
            self._report(frame_set, plan, graph)
        self._store_rest()

    def _store_rest(self) -> None:
        """The last sets of a task that ends for good, so that nothing goes on from them."""
        if self.rows.sets:
            self.history.add(self.rows.build(NO_CHECKPOINT))

    def _report(self, frame_set: FrameSet, plan: Plan, graph: CpuGraph) -> None:
        self.report.read(frame_set.media_time_ns, plan, graph.states, self.pace.dropped)
        self.report.state.queues = {name: ahead.waiting for name, ahead in self._queues.items()}
        self.report.tell()

    def _publish(self, item: TrackedSet, plan: Plan) -> None:
        frame_set = item.detected.frame_set
        jpegs = {camera_id: jpeg.result() for camera_id, jpeg in item.detected.jpegs.items()}
        with self.times.measure("publish"):
            sources = {
                c: source_at(plan.recordings[c].sub_videos, f.media_time_ns)
                for c, f in frame_set.frames.items()
            }
            age_ns = round((time.perf_counter() - frame_set.arrived_s) * NS_PER_S)
            stage_ms = self.times.of_set(frame_set.index)
            update = tracking_update(
                frame_set,
                item.result,
                self.names,
                sources,
                time.time_ns(),
                age_ns=age_ns,
                stage_ms=stage_ms,
            )
            update_json = msgspec.json.encode(update)
            binary_set = encode_set(
                frame_set.index,
                frame_set.media_time_ns,
                update_json,
                jpegs,
                self.settings.jpeg_quality,
                is_incomplete=len(jpegs) < len(plan.cameras),
            )
            self.live.publish(update, update_json, binary_set)
        self.times.add("arrival_to_publish", time.perf_counter() - frame_set.arrived_s)
