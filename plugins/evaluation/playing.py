"""Footage through the frame path's own stages and the methods, nothing stored or published."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plugins.evaluation.footage import Footage
from plugins.evaluation.methods import Method, Vectors
from plugins.frames import NS_PER_S, CropRequest, Detections, FrameSet
from plugins.gst.cpu_graph import CpuGraph
from plugins.inference.detector import Detector
from plugins.inference.embedder import Embedder
from plugins.media.timeline import LocalClip
from plugins.playback import Ahead, Pace, run_ahead

Show = Callable[[int, int], None]
QUEUE_DEPTH = 2
JOIN_S = 5.0


class Run(msgspec.Struct, frozen=True):
    """Sets played, whole sets dropped because they came too late, and sets a second."""

    sets: int
    dropped: int
    sets_per_s: float


@dataclass(frozen=True, slots=True)
class _Detected:
    frame_set: FrameSet
    detections: Mapping[str, Detections]


def play_boxes(footage: Footage, methods: Sequence[Method], show: Show) -> Run:
    """Boxes without pictures, as fast as it goes."""
    sets = footage.detections or ()
    began_s = time.perf_counter()
    for frame, detections in enumerate(sets):
        time_ns = footage.start_ns + round(frame * NS_PER_S / footage.rate_hz)
        for method in methods:
            method.step(frame, time_ns, detections, lambda _requests: None)
        show(frame + 1, footage.frames)
    return _run(len(sets), 0, began_s)


def play_videos(
    footage: Footage,
    methods: Sequence[Method],
    detector: Detector,
    embedder: Embedder,
    show: Show,
    *,
    speed: float | None = None,
) -> Run:
    """Decoded, aligned and detected as the worker does it, each stage in a thread of its own.

    ``speed`` is a factor of real time at which late sets are dropped; None drops nothing.
    """
    pace, stop = Pace(speed), threading.Event()
    count, began_s = 0, time.perf_counter()
    with contextlib.ExitStack() as stack:
        graph = stack.enter_context(contextlib.closing(_graph(footage)))

        def align(out: Ahead[FrameSet]) -> None:
            pace.release(graph.sets(), out)

        def detect(out: Ahead[_Detected]) -> None:
            _detect(sets, detector, out)

        sets, aligning = run_ahead(align, QUEUE_DEPTH, "align", stop)
        detected, detecting = run_ahead(detect, QUEUE_DEPTH, "detect", stop)
        stack.callback(_end, stop, graph, (aligning, detecting))
        for item in detected:
            _step(item, methods, embedder)
            count += 1
            show(item.frame_set.index + 1, footage.frames)
    return _run(count, pace.dropped, began_s)


def _graph(footage: Footage) -> CpuGraph:
    end_ns = footage.start_ns + round(footage.frames * NS_PER_S / footage.rate_hz)
    clips: dict[str, Iterator[LocalClip]] = {
        camera_id: iter([LocalClip(clip.sub_video, Path(clip.path)) for clip in own])
        for camera_id, own in footage.clips.items()
    }
    return CpuGraph(clips, footage.start_ns, end_ns, footage.rate_hz)


def _detect(sets: Iterable[FrameSet], detector: Detector, out: Ahead[_Detected]) -> None:
    for frame_set in sets:
        found = detector.detect(list(frame_set.frames.values()))
        if not out.put(_Detected(frame_set, dict(zip(frame_set.frames, found, strict=True)))):
            return


def _step(item: _Detected, methods: Sequence[Method], embedder: Embedder) -> None:
    frames = item.frame_set.frames

    def embed(requests: Sequence[CropRequest]) -> Vectors:
        return embedder.embed([(frames[r.camera_id], r.bbox_xyxy) for r in requests])

    for method in methods:
        method.step(item.frame_set.index, item.frame_set.media_time_ns, item.detections, embed)


def _end(stop: threading.Event, graph: CpuGraph, threads: Sequence[threading.Thread]) -> None:
    stop.set()
    graph.close()
    for thread in threads:
        thread.join(JOIN_S)


def _run(sets: int, dropped: int, began_s: float) -> Run:
    return Run(sets, dropped, round(sets / max(time.perf_counter() - began_s, 1e-9), 2))
