"""A task's state while it runs: told to Redis, to the task's row and to whoever watches."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from plugins.errors import RecordingError
from plugins.frames import NS_PER_S, FrameSet
from plugins.gst.cpu_graph import CameraState
from plugins.history import History, StoredState
from plugins.live import LivePublisher
from plugins.messages import CameraProgress, TaskProgress, TaskStatus
from plugins.plan import Plan, in_one_line
from plugins.timing import StageTimes
from plugins.tracking.results import SetResult

log = structlog.get_logger()
PROGRESS_S = 0.25
OnProgress = Callable[[TaskProgress], None]


class ProgressReport:
    """Counts what a task does and tells of it, a few times a second and at every new status.

    ``stop`` says whether somebody has stopped the task. Used by one thread.
    """

    def __init__(
        self,
        history: History,
        live: LivePublisher,
        times: StageTimes,
        stop: threading.Event,
        on_progress: OnProgress,
    ) -> None:
        self.state = TaskProgress()
        self._history, self._live, self._times = history, live, times
        self._stop, self._on_progress = stop, on_progress
        self._told_at = self._began_at = time.monotonic()
        self._sets_before = 0
        self._persons: set[str] = set()
        self._problems: Mapping[str, Sequence[str]] = {}

    def resume(self, stored: StoredState) -> None:
        """What an earlier worker has stored already."""
        self._sets_before = max(stored.frame_index + 1 - stored.dropped, 0)
        self.state.sets, self.state.dropped = self._sets_before, stored.dropped
        self._persons.update(stored.person_ids)

    def expect(self, problems: Mapping[str, Sequence[str]]) -> None:
        """The cameras of the plan, and what is wrong with their recordings."""
        self._problems = problems
        self.state.cameras = {
            camera_id: CameraProgress(error=in_one_line(lines))
            for camera_id, lines in problems.items()
        }

    def enter(self, status: TaskStatus, message: str = "") -> None:
        """A new status, told at once."""
        log.info("task_status", status=status)
        self.state.status, self.state.message = status, message
        if status == "PROCESSING":
            self._began_at = time.monotonic()
        self.tell()

    def end(self, status: TaskStatus, error: str | None = None) -> None:
        """The final status; it is told by ``finish``, once everything is stored."""
        self.state.status, self.state.error, self.state.message = status, error, ""

    def count(self, frame_set: FrameSet, result: SetResult) -> None:
        """One more set has been published."""
        self.state.sets += 1
        self.state.frame_index = frame_set.index
        self._persons.update(p.global_id for p in result.positions)
        self._persons.difference_update(
            d.other_global_id
            for d in result.decisions
            if d.verdict == "merged" and d.other_global_id
        )

    def is_due(self) -> bool:
        """Whether it is time to read the cameras and tell."""
        return time.monotonic() - self._told_at >= PROGRESS_S

    def read(
        self, media_time_ns: int, plan: Plan, cameras: Mapping[str, CameraState], dropped: int
    ) -> None:
        """How far it is, how fast, and how each camera does."""
        state = self.state
        elapsed_s = max(time.monotonic() - self._began_at, 1e-3)
        done_ns, whole_ns = media_time_ns - plan.start_ns, plan.end_ns - plan.start_ns
        state.progress = round(min(done_ns / whole_ns, 1.0), 4)
        state.sets_per_s = round((state.sets - self._sets_before) / elapsed_s, 2)
        left_sets = (whole_ns - done_ns) / NS_PER_S * plan.rate_hz
        state.eta_s = round(left_sets / max(state.sets_per_s, 0.01), 1)
        state.dropped, state.persons = dropped, len(self._persons)
        for camera_id, camera in state.cameras.items():
            self._read_camera(camera_id, camera, cameras.get(camera_id), elapsed_s)

    def _read_camera(
        self, camera_id: str, camera: CameraProgress, found: CameraState | None, elapsed_s: float
    ) -> None:
        if found is None:  # it has nothing to play
            camera.missing = self.state.sets
            return
        camera.frames, camera.missing, camera.corrupt = found.frames, found.missing, found.corrupt
        camera.fps = round(found.frames / elapsed_s, 2)
        camera.error = in_one_line((*self._problems[camera_id], *found.problems))

    def require_pictures(self) -> None:
        """RecordingError naming each camera's problem when not a single set could be played."""
        if self.state.sets == 0 and not self._stop.is_set():
            errors = [f"{c}: {s.error}" for c, s in self.state.cameras.items() if s.error]
            raise RecordingError("no camera could be played; " + "; ".join(errors))

    def tell(self) -> None:
        """Redis, the task's row with its next heartbeat, and the caller."""
        self._told_at = time.monotonic()
        self._read_times()
        self._history.report(self.state)
        self._publish()

    def finish(self) -> TaskProgress:
        """Stores what waits and the final state, tells the living, closes."""
        self._read_times()
        if self.state.status == "COMPLETED":
            self.state.progress = 1.0
        self.state.eta_s = None
        try:
            self._history.finish(self.state)
        finally:
            self._publish()
            self._live.close()
        return self.state

    def _read_times(self) -> None:
        self.state.stage_ms = self._times.percentiles_ms()
        self.state.stage_histograms = self._times.histograms()

    def _publish(self) -> None:
        self._live.publish_progress(self.state)
        self._on_progress(self.state)
