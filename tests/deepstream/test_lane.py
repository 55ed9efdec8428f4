"""Lanes over a real GStreamer pipeline: the decoder's place is taken, times and results fit.

The stand-in has the names of the real graph and decodes on the CPU; its cameras do not share a
batch. What it shows is everything but DeepStream's own elements.
"""

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from plugins.deepstream.inferred import GraphDetector, InferredFrame, encode_inferred
from plugins.deepstream.lane import InFlight
from plugins.deepstream.metadata import People
from plugins.deepstream.pipeline import DeepStreamPipeline
from plugins.frames import NS_PER_S
from plugins.gst.cpu_graph import CpuGraph
from tests.gst.recorded import START_NS, clip
from tests.recordings import read_number, split_video, write_video
from tests.waiting import PATIENCE_S

CAMERAS = ("c01", "c02")
SECONDS = 3
FRAMES = SECONDS * 10


def build_stand_in(parts, *, with_jpegs: bool = True) -> None:
    for camera_id in CAMERAS:
        names = [f"{name}-{camera_id}" for name in ("in", "parse", "decode", "embed", "tee")]
        access_units = "video/x-h264,stream-format=byte-stream,alignment=au"
        parts.make("appsrc", names[0], caps=access_units, format="time", max_bytes=0)
        for factory, name in zip(
            ("h264parse", "avdec_h264", "identity", "tee"), names[1:], strict=True
        ):
            parts.make(factory, name)
        chain(parts, *names)
        for branch, encoder in (("pictures", "identity"), ("jpegs", "jpegenc")):
            ends = [f"{n}-{branch}-{camera_id}" for n in ("queue", "convert", "encode")]
            for factory, name in zip(("queue", "videoconvert", encoder), ends, strict=True):
                parts.make(factory, name)
            parts.make("appsink", f"{branch}-{camera_id}", sync=False, async_=False, max_buffers=0)
            parts.link(names[-1], ends[0])
            chain(parts, *ends)
            if branch == "pictures" or with_jpegs:
                chain(parts, ends[-1], f"{branch}-{camera_id}")
            else:
                parts.make("fakesink", f"nowhere-{camera_id}", sync=False, async_=False)
                chain(parts, ends[-1], f"nowhere-{camera_id}")


def chain(parts, *names) -> None:
    for source, target in pairwise(names):
        parts.link(source, target)


def people_at(pts_ns: int) -> People:
    """One person whose box tells the time."""
    box = [[0, 0, 10 + pts_ns // 10**8 % 100, 50]]
    scores, vectors = np.ones(1, np.float32), np.ones((1, 2), np.float32)
    return People(np.array(box, np.float32), scores, np.array([-1]), vectors)


def probes_of(take, _fail):
    def probe(camera_id):
        return lambda buffer: take(camera_id, buffer.pts, people_at(buffer.pts))

    return {(f"embed-{camera_id}", "src"): probe(camera_id) for camera_id in CAMERAS}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lanes")
    return {
        c: write_video(folder / f"{c}.mp4", FRAMES, 10, first_number=1000 * k, seed=k)
        for k, c in enumerate(CAMERAS, 1)
    }


@pytest.fixture
def pipeline():
    made = DeepStreamPipeline(CAMERAS, build_stand_in, probes_of)
    yield made
    made.close()


def graph_of(clips, pipeline, **options) -> CpuGraph:
    end_ns = START_NS + SECONDS * NS_PER_S
    return CpuGraph(clips, START_NS, end_ns, 10.0, open_decoder=pipeline.open_decoder, **options)


def whole(videos):
    return {c: iter([clip(path, FRAMES, camera_id=c)]) for c, path in videos.items()}


def played(graph) -> list:
    try:
        return list(graph.sets())
    finally:
        graph.close()


def test_sets_are_those_of_the_cpu_and_bring_their_results_along(videos, pipeline):
    """Same pictures at the same times; every frame has its people and its JPEG."""
    sets = played(graph_of(whole(videos), pipeline))

    assert [s.index for s in sets] == list(range(FRAMES))
    for k, frame_set in enumerate(sets):
        for number, camera_id in enumerate(CAMERAS, 1):
            frame = frame_set.frames[camera_id]
            assert isinstance(frame, InferredFrame)
            assert read_number(frame.i420[: frame.height]) == 1000 * number + k
            assert frame.media_time_ns == START_NS + k * NS_PER_S // 10
            assert frame.jpeg[:2] == b"\xff\xd8"
            assert encode_inferred(frame, 80) is frame.jpeg
        found = GraphDetector().detect(list(frame_set.frames.values()))
        widths = {float(d.boxes_xyxy[0, 2]) for d in found}
        assert widths == {10.0 + k % 100}


def test_sub_videos_follow_each_other_without_a_new_pipeline(videos, tmp_path):
    """Pads neither come nor go at a cut."""
    built = []

    def build(parts):
        built.append(parts)
        build_stand_in(parts)

    pipeline = DeepStreamPipeline(CAMERAS, build, probes_of)
    parts = split_video(videos["c01"], tmp_path, (10, 20))
    clips = {
        "c01": iter(
            [clip(path, n, start_s=s) for path, n, s in zip(parts, (10, 20), (0, 1), strict=True)]
        ),
        "c02": whole(videos)["c02"],
    }
    sets = played(graph_of(clips, pipeline))
    pipeline.close()

    assert len(built) == 1
    numbers = [read_number(s.frames["c01"].i420[: s.frames["c01"].height]) for s in sets]
    assert numbers == [1000 + k for k in range(FRAMES)]


def test_missing_jpegs_are_made_on_the_cpu(videos):
    pipeline = DeepStreamPipeline(
        CAMERAS, lambda parts: build_stand_in(parts, with_jpegs=False), probes_of
    )
    end_ns = START_NS + NS_PER_S // 5
    graph = CpuGraph(whole(videos), START_NS, end_ns, 10.0, open_decoder=pipeline.open_decoder)
    frame = played(graph)[0].frames["c01"]
    pipeline.close()
    assert frame.jpeg == b""
    assert encode_inferred(frame, 80)[:2] == b"\xff\xd8"


def test_failure_starts_one_new_pipeline_for_all_cameras(videos):
    """What the cameras were at is given up and said; what follows is played in the new one."""
    built, failures = [], []

    def build(parts):
        built.append(parts)
        build_stand_in(parts)

    def failing_probes(take, fail):
        failures.append(fail)
        return probes_of(take, fail)

    pipeline = DeepStreamPipeline(CAMERAS, build, failing_probes)
    clips = {
        c: iter([clip(path, FRAMES, start_s=n * SECONDS, camera_id=c) for n in range(4)])
        for c, path in videos.items()
    }
    end_ns = START_NS + 4 * SECONDS * NS_PER_S
    graph = CpuGraph(
        clips, START_NS, end_ns, 10.0, open_decoder=pipeline.open_decoder, patience_s=5
    )
    indices = []
    try:
        for frame_set in graph.sets():
            indices.append(frame_set.index)
            if frame_set.index == 5:
                failures[0]("CUDA out of memory")
    finally:
        graph.close()
        pipeline.close()
    assert len(built) == 2
    assert set(indices) >= {5, 3 * FRAMES, 4 * FRAMES - 1}
    for state in graph.states.values():
        assert any("CUDA out of memory" in problem for problem in state.problems)


def test_limit_counts_lost_pictures_as_gone():
    """A later one that comes out proves the loss of those before it."""
    inside = InFlight(limit=3)
    assert all(inside.add(pts) for pts in (30, 10, 20))
    inside.out(20)
    assert len(inside) == 1
    assert inside.add(40)


def test_full_lane_waits_for_room_and_ends_when_closed():
    inside = InFlight(limit=1, stuck_s=60)
    inside.add(10)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(inside.add(20)))
    thread.start()
    time.sleep(0.05)
    assert not answers
    inside.close()
    thread.join(PATIENCE_S)
    assert answers == [False]


def test_decoder_that_swallows_everything_does_not_stop_the_feeding():
    """Damaged pictures vanish without a word."""
    inside = InFlight(limit=2, stuck_s=0.01)
    assert [inside.add(pts) for pts in range(6)] == [True] * 6
