"""The running DeepStream pipeline, and a new one in its place after a failure."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from plugins.deepstream.configuration import DeepStreamSettings, render_configs
from plugins.deepstream.failures import explained
from plugins.deepstream.graph import build_graph
from plugins.deepstream.gst_parts import GstParts
from plugins.deepstream.lane import Lane
from plugins.deepstream.metadata import Metadata, People
from plugins.deepstream.presence import use_new_streammux
from plugins.deepstream.probes import BatchProbes, Take
from plugins.gst.gstreamer import Gst, first_error, free

log = structlog.get_logger()
Build = Callable[[GstParts], None]
ProbesOf = Callable[[Take, Callable[[str], None]], Mapping[tuple[str, str], Callable[[Any], None]]]


class DeepStreamPipeline:
    """Gives each camera a lane through one shared pipeline.

    ``open_decoder`` takes the place of ``H264Decoder``. A camera that opens a second lane has
    closed or lost its first: then a new pipeline starts and the others move over to it. So a
    failure costs every camera the rest of the sub-video it was at.
    """

    def __init__(self, camera_ids: Sequence[str], build: Build, probes_of: ProbesOf) -> None:
        self._camera_ids = tuple(camera_ids)
        self._build, self._probes_of = build, probes_of
        self._lock = threading.Lock()
        self._running: _Generation | None = None

    def open_decoder(self, camera_id: str, origin_ns: int) -> Lane:
        """A lane of the pipeline of this moment; the first, and every second time a new one."""
        with self._lock:
            if self._running is None or camera_id in self._running.lanes:
                self._start_anew()
            running = self._running
            if running is None:
                raise AssertionError("a pipeline has just been started")
            return running.open_lane(camera_id, origin_ns)

    def close(self) -> None:
        """Stops everything and frees the GPU; safe to call twice."""
        with self._lock:
            if self._running is not None:
                self._running.free()
                self._running = None

    def _start_anew(self) -> None:
        if self._running is not None:
            log.warning("deepstream_restarted", reason=self._running.error() or "cameras reopened")
            self._running.free()
        self._running = _Generation(self._camera_ids, self._build, self._probes_of)


class _Generation:
    """One pipeline from start to failure or end."""

    def __init__(self, camera_ids: Sequence[str], build: Build, probes_of: ProbesOf) -> None:
        self.lanes: dict[str, Lane] = {}
        self._open = set(camera_ids)
        self._error: str | None = None
        self._error_lock = threading.Lock()
        self._parts = GstParts()
        build(self._parts)
        for (element, pad), probe in probes_of(self._take, self._fail).items():
            self._add_probe(element, pad, probe)
        self._parts.pipeline.set_state(Gst.State.PLAYING)

    def element(self, name: str) -> Any:
        return self._parts.element(name)

    def error(self) -> str | None:
        with self._error_lock:
            if self._error is None and (found := first_error(self._parts.pipeline)) is not None:
                self._error = explained(found)
            return self._error

    def open_lane(self, camera_id: str, origin_ns: int) -> Lane:
        self.lanes[camera_id] = Lane(self, camera_id, origin_ns, self._left)
        return self.lanes[camera_id]

    def free(self) -> None:
        with self._error_lock:
            self._error = self._error or "the pipeline was closed"
        free(self._parts.pipeline)

    def _left(self, camera_id: str) -> None:
        self._open.discard(camera_id)
        if not self._open:
            self.free()

    def _take(self, camera_id: str, pts_ns: int, people: People) -> None:
        lane = self.lanes.get(camera_id)
        if lane is not None:
            lane.take(pts_ns, people)

    def _fail(self, error: str) -> None:
        with self._error_lock:
            self._error = self._error or explained(error)

    def _add_probe(self, element: str, pad: str, probe: Callable[[Any], None]) -> None:
        def run(_pad: Any, info: Any) -> Any:
            probe(info.get_buffer())
            return Gst.PadProbeReturn.OK

        self.element(element).get_static_pad(pad).add_probe(Gst.PadProbeType.BUFFER, run)


def deepstream_pipeline(
    camera_ids: Sequence[str],
    settings: DeepStreamSettings,
    input_size_hw: tuple[int, int],
    pyds: Any,
) -> DeepStreamPipeline:
    """The real thing. Raises InvalidInputError for texts that cannot be used; SpotOnError, once a
    lane is opened, for elements that are not there.
    """
    use_new_streammux()
    configs = render_configs(settings, len(camera_ids))

    def build(parts: GstParts) -> None:
        build_graph(parts, camera_ids, configs, settings)

    def probes_of(take: Take, fail: Callable[[str], None]) -> Any:
        threshold = settings.score_threshold
        probes = BatchProbes(
            Metadata(pyds), camera_ids, input_size_hw, threshold, take=take, fail=fail
        )
        return probes.by_pad()

    return DeepStreamPipeline(camera_ids, build, probes_of)
