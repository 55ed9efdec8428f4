"""Four cameras decoded and lined up: made recordings and, where there is some, real footage."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plugins.frames import NS_PER_S, FrameSet
from plugins.gst.cpu_graph import CpuGraph
from plugins.media.timeline import LocalClip
from tests.gst.recorded import START_NS, clip
from tests.recordings import (
    corrupt_payload,
    read_number,
    split_video,
    truncate,
    write_text_file,
    write_video,
)
from tests.waiting import PATIENCE_S

CAMERAS = ("c01", "c02", "c03", "c05")
LAB_CUTS = (7, 100, 1, 61, 99)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four seconds of each camera, numbers 1000..1039 in the first, 2000..2039 in the second, …"""
    folder = tmp_path_factory.mktemp("videos")
    return {
        camera_id: write_video(folder / f"{camera_id}.mp4", 40, 10, first_number=n * 1000, seed=n)
        for n, camera_id in enumerate(CAMERAS, 1)
    }


def one_clip(path: Path, camera_id: str, frames: int = 40, fps: float = 10) -> Iterator[LocalClip]:
    return iter([clip(path, frames, fps, camera_id=camera_id)])


def open_graph(clips: dict[str, Iterator[LocalClip]], seconds: float = 4, **options) -> CpuGraph:
    return CpuGraph(clips, START_NS, START_NS + round(seconds * NS_PER_S), 10.0, **options)


def numbers(frame_set: FrameSet) -> dict[str, int]:
    return {c: read_number(f.i420[: f.height]) for c, f in frame_set.frames.items()}


def play(graph: CpuGraph) -> list[tuple[int, dict[str, int]]]:
    """All sets: index and the number in each camera's picture."""
    try:
        return [(s.index, numbers(s)) for s in graph.sets()]
    finally:
        graph.close()


def whole(videos: dict[str, Path]) -> dict[str, Iterator[LocalClip]]:
    return {camera_id: one_clip(path, camera_id) for camera_id, path in videos.items()}


def test_cameras_in_step_give_the_same_moment_of_each(videos: dict[str, Path]) -> None:
    """Set k holds frame k of all four cameras."""
    graph = open_graph(whole(videos))
    expected = [(k, {c: 1000 * n + k for n, c in enumerate(CAMERAS, 1)}) for k in range(40)]
    assert play(graph) == expected
    for state in graph.states.values():
        assert (state.frames, state.corrupt, state.missing) == (40, 0, 0)
        assert state.problems == ()
        assert state.ended


@pytest.mark.parametrize("start_index", [1, 17, 39])
def test_resumed_task_continues_with_the_same_sets(
    videos: dict[str, Path], start_index: int
) -> None:
    """Slot numbers go on from the task's start, pictures and all."""
    resumed = play(open_graph(whole(videos), start_index=start_index))
    assert resumed == play(open_graph(whole(videos)))[start_index:]


def test_resuming_repeats_a_slow_cameras_frame_as_before(
    tmp_path: Path, videos: dict[str, Path]
) -> None:
    """The frame a slow camera showed before the break is there again after it."""
    slow = write_video(tmp_path / "slow.mp4", 20, 5)

    def clips() -> dict[str, Iterator[LocalClip]]:
        return {"c01": one_clip(videos["c01"], "c01"), "slow": one_clip(slow, "slow", 20, 5)}

    uninterrupted = play(open_graph(clips()))
    assert [seen["slow"] for _, seen in uninterrupted[2:]] == [k // 2 for k in range(2, 40)]
    assert play(open_graph(clips(), start_index=23)) == uninterrupted[23:]


def test_uneven_cuts_do_not_show(tmp_path: Path, videos: dict[str, Path]) -> None:
    """Cameras cut at different places give the sets of uncut ones."""
    cuts = {"c01": (1, 38, 1), "c02": (13, 13, 14), "c03": (39, 1), "c05": (40,)}
    clips: dict[str, Iterator[LocalClip]] = {}
    for camera_id, counts in cuts.items():
        paths = split_video(videos[camera_id], tmp_path / camera_id, counts)
        starts = np.cumsum((0, *counts[:-1])) / 10
        clips[camera_id] = iter(
            [
                clip(path, count, start_s=start, camera_id=camera_id)
                for path, count, start in zip(paths, counts, starts, strict=True)
            ]
        )
    assert play(open_graph(clips)) == play(open_graph(whole(videos)))


def test_other_rates_and_sizes_line_up(tmp_path: Path, videos: dict[str, Path]) -> None:
    """25 frames/s beside 10: each set takes the nearest frame, within half a slot."""
    fast = write_video(tmp_path / "fast.mp4", 100, 25, 640, 360)
    clips = {"c01": one_clip(videos["c01"], "c01"), "fast": one_clip(fast, "fast", 100, 25)}
    sets = play(open_graph(clips))
    assert [index for index, _ in sets] == list(range(40))
    assert [seen["c01"] for _, seen in sets] == list(range(1000, 1040))
    for index, seen in sets:
        assert abs(seen["fast"] * 40 - index * 100) <= 20


def _text(path: Path) -> Path:
    return write_text_file(path)


def _missing(path: Path) -> Path:
    return path


def _truncated(path: Path) -> Path:
    return truncate(write_video(path, 40, 10, faststart=True), 0.5)


def _corrupt(path: Path) -> Path:
    return corrupt_payload(write_video(path, 40, 10))


@pytest.mark.parametrize("make", [_text, _missing, _truncated, _corrupt])
def test_one_broken_camera_leaves_three_going(
    tmp_path: Path, videos: dict[str, Path], make
) -> None:
    """The broken one is absent where it has nothing, counted and explained."""
    clips = whole(videos) | {"c02": one_clip(make(tmp_path / "bad.mp4"), "c02")}
    graph = open_graph(clips)
    sets = play(graph)
    assert [index for index, _ in sets] == list(range(40))
    for index, seen in sets:
        others = {c: n for c, n in seen.items() if c != "c02"}
        assert others == {"c01": 1000 + index, "c03": 3000 + index, "c05": 4000 + index}
    state = graph.states["c02"]
    assert state.missing == sum("c02" not in seen for _, seen in sets) > 0
    assert state.problems[0].startswith("env/c02/bad.mp4: ")
    assert graph.states["c01"].problems == ()


def test_shorter_camera_just_ends(videos: dict[str, Path], tmp_path: Path) -> None:
    """Three go on where the fourth has no more recordings."""
    (short,) = split_video(videos["c05"], tmp_path, [15])
    graph = open_graph(whole(videos) | {"c05": one_clip(short, "c05", 15)})
    sets = play(graph)
    assert [len(seen) for _, seen in sets] == [4] * 15 + [3] * 25
    assert graph.states["c05"].missing == 25
    assert graph.states["c05"].problems == ()


def test_no_camera_at_all_gives_no_set(tmp_path: Path) -> None:
    """Every recording bad: the sets end at once and every camera says why."""
    bad = write_text_file(tmp_path / "bad.mp4")
    graph = open_graph({camera_id: one_clip(bad, camera_id) for camera_id in CAMERAS})
    assert play(graph) == []
    assert all(state.ended and state.problems for state in graph.states.values())


def test_silent_camera_is_left_out_after_patience(videos: dict[str, Path]) -> None:
    """A download that hangs does not hold the others for ever."""
    go_on = threading.Event()

    def hanging() -> Iterator[LocalClip]:
        go_on.wait(PATIENCE_S)
        yield from one_clip(videos["c02"], "c02")

    graph = open_graph(whole(videos) | {"c02": hanging()}, patience_s=0.2)
    indices = []
    for frame_set in graph.sets():
        indices.append(frame_set.index)
        if frame_set.index == 30:
            go_on.set()
    assert indices == list(range(40))
    assert graph.states["c02"].missing >= 31
    assert "check the object store" in graph.states["c02"].problems[0]
    graph.close()


def test_slow_reader_bounds_what_is_decoded(videos: dict[str, Path]) -> None:
    """Decoding stops a few slots ahead of the reader."""
    graph = open_graph(whole(videos), depth=3)
    sets = graph.sets()
    next(sets)
    time.sleep(0.3)
    assert all(state.frames <= 6 for state in graph.states.values())
    assert len(list(sets)) == 39
    graph.close()


def test_close_ends_a_waiting_reader(videos: dict[str, Path]) -> None:
    """From another thread, while the reader waits for a camera that sends nothing."""
    go_on = threading.Event()

    def hanging() -> Iterator[LocalClip]:
        go_on.wait(PATIENCE_S)
        yield from ()

    graph = open_graph(whole(videos) | {"c02": hanging()})
    read: list[FrameSet] = []
    reader = threading.Thread(target=lambda: read.extend(graph.sets()))
    reader.start()
    graph.close()
    go_on.set()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert read == []


def test_closing_at_any_moment_leaves_nothing_behind(videos: dict[str, Path]) -> None:
    """Fifty graphs, read for none to a few sets: no thread and no file stays."""
    play(open_graph(whole(videos)))
    threads, files = threading.active_count(), _open_files()
    for k in range(50):
        graph = open_graph(whole(videos))
        for _, _ in zip(range(k % 5), graph.sets(), strict=False):
            pass
        graph.close()
    del graph
    assert threading.active_count() == threads
    assert _open_files() <= files + 2


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _lab(folder: Path) -> dict[str, Path]:
    return {f"cam{n}": folder / "lab4" / "videos" / f"cam{n}.mp4" for n in range(4)}


def _luma(graph: CpuGraph) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Each set's pictures, small."""
    sets = [
        (s.index, {c: f.i420[: f.height : 8, ::8].copy() for c, f in s.frames.items()})
        for s in graph.sets()
    ]
    graph.close()
    return sets


def _cut_lab(source: Path, camera_id: str, folder: Path) -> Iterator[LocalClip]:
    paths = split_video(source, folder / camera_id, LAB_CUTS)
    starts = np.cumsum((0, *LAB_CUTS[:-1])) / 10
    for path, count, start in zip(paths, LAB_CUTS, starts, strict=True):
        yield clip(path, count, start_s=float(start), camera_id=camera_id)


def test_real_footage_cut_unevenly_plays_as_if_uncut(test_data: Path, tmp_path: Path) -> None:
    """268 sets of four, in order, none lost or doubled: each picture is the uncut one's."""
    videos = _lab(test_data)
    uncut = {c: one_clip(path, c, 268) for c, path in videos.items()}
    cut = {c: iter(list(_cut_lab(path, c, tmp_path))) for c, path in videos.items()}
    expected, found = _luma(open_graph(uncut, 26.8)), _luma(open_graph(cut, 26.8))
    assert [index for index, _ in found] == list(range(268))
    for (_, before), (_, after) in zip(expected, found, strict=True):
        assert after.keys() == videos.keys()
        for camera_id, picture in before.items():
            error = np.abs(after[camera_id].astype(int) - picture).mean()
            assert error < 2.0


def test_real_footage_resumes_on_the_exact_frame(test_data: Path) -> None:
    """After a seek within a long group of pictures, each picture equals the one of a full run."""
    videos = _lab(test_data)

    def clips() -> dict[str, Iterator[LocalClip]]:
        return {c: one_clip(path, c, 268) for c, path in videos.items()}

    full, resumed = (
        _luma(open_graph(clips(), 26.8)),
        _luma(open_graph(clips(), 26.8, start_index=143)),
    )
    assert [index for index, _ in resumed] == list(range(143, 268))
    for (_, before), (_, after) in zip(full[143:], resumed, strict=True):
        assert all(np.array_equal(before[c], after[c]) for c in videos)
