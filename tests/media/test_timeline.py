from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from plugins.errors import ObjectStoreUnavailableError
from plugins.media.object_store import FolderStore, ObjectStore
from plugins.media.timeline import Recording, read_timelines, select
from tests import recordings
from tests.media.boxes import mp4
from tests.media.conftest import OpenBucket
from tests.media.faulty_proxy import FaultyProxy

START_NS = 1_700_000_000_000_000_000
S = 1_000_000_000


def clip(frames: int) -> bytes:
    """A sub-video of ``frames`` tenths of a second."""
    return mp4(deltas=[(frames, 1000)])


def upload(store: ObjectStore, clips: Mapping[str, bytes]) -> None:
    for name, content in clips.items():
        store.put(f"video_s37/{name}.mp4", content)


def timelines(store: ObjectStore, *cameras: str, index: Path | None = None) -> dict[str, Recording]:
    folders = {camera: camera for camera in cameras}
    return read_timelines(store, "video_s37", folders, START_NS, index_folder=index)


def seconds(recording: Recording) -> list[tuple[str, float, float]]:
    """(number, begin, end) of each sub-video in seconds after the start."""
    return [
        (s.key[-6:-4], (s.start_ns - START_NS) / S, (s.end_ns - START_NS) / S)
        for s in recording.sub_videos
    ]


def gap_seconds(recording: Recording) -> list[tuple[float, float]]:
    return [((g.start_ns - START_NS) / S, (g.end_ns - START_NS) / S) for g in recording.gaps]


def test_uneven_sub_videos_lie_end_to_end(store: ObjectStore):
    """Each begins exactly where the last one ends, in the order of their numbers."""
    lengths = [20, 7, 33, 1]
    upload(store, {f"c01/sub_video_0{n}": clip(k) for n, k in enumerate(lengths, start=1)})
    recording = timelines(store, "c01")["c01"]
    assert seconds(recording) == [
        ("01", 0, 2), ("02", 2, 2.7), ("03", 2.7, 6), ("04", 6, 6.1)
    ]  # fmt: skip
    assert (recording.start_ns, recording.end_ns) == (START_NS, START_NS + 6_100_000_000)
    assert recording.problems == recording.gaps == ()
    assert [s.frame_count for s in recording.sub_videos] == lengths
    assert all(a.end_ns == b.start_ns for a, b in pairwise(recording.sub_videos))


def test_numbers_are_numbers_not_text(store: ObjectStore):
    """2 before 10, whatever their digits; other files in the folder are no sub-videos."""
    upload(store, {f"c01/sub_video_{n}": clip(10) for n in (1, 2, 10, 9, *range(3, 9))})
    store.put("video_s37/c01/readme.txt", b"x")
    store.put("video_s37/c01/old/sub_video_11.mp4", clip(10))
    recording = timelines(store, "c01")["c01"]
    assert [s.key.rpartition("_")[2] for s in recording.sub_videos] == [
        f"{n}.mp4" for n in range(1, 11)
    ]


@pytest.mark.parametrize("first", [0, 1, 17])
def test_numbering_may_start_anywhere(store: ObjectStore, first: int):
    upload(store, {f"c01/sub_video_{first + n:02d}": clip(10) for n in range(2)})
    assert timelines(store, "c01")["c01"].start_ns == START_NS


def test_a_missing_number_leaves_its_length_in_the_other_cameras(store: ObjectStore):
    """What follows the gap stays in step with the other cameras."""
    upload(store, {f"c01/sub_video_0{n}": clip(10 * n) for n in (1, 2, 3)})
    upload(store, {f"c02/sub_video_0{n}": clip(10 * n) for n in (1, 3)})
    recording = timelines(store, "c01", "c02")["c02"]
    assert seconds(recording) == [("01", 0, 1), ("03", 3, 6)]
    assert gap_seconds(recording) == [(1, 3)]
    (problem,) = recording.problems
    assert "video_s37/c02/sub_video_02.mp4 missing: upload" in problem


def test_a_number_that_no_camera_has_lasts_as_long_as_usual(store: ObjectStore):
    lengths = {"01": 20, "02": 20, "05": 50}
    upload(store, {f"c02/sub_video_{name}": clip(n) for name, n in lengths.items()})
    recording = timelines(store, "c02")["c02"]
    assert seconds(recording) == [("01", 0, 2), ("02", 2, 4), ("05", 8, 13)]
    assert "sub_video_03.mp4 to sub_video_04.mp4 missing" in recording.problems[0]


def test_an_unreadable_file_is_a_gap_with_its_reason(store: ObjectStore):
    """One bad file costs its own time, in its own camera."""
    whole = clip(20)
    for camera, second in (("c01", clip(20)), ("c02", whole[:200]), ("c03", b"")):
        upload(store, {
            f"{camera}/sub_video_01": clip(10),
            f"{camera}/sub_video_02": second,
            f"{camera}/sub_video_03": clip(10),
        })  # fmt: skip
    found = timelines(store, "c01", "c02", "c03")
    assert not found["c01"].problems
    for camera, reason in (("c02", "truncated at 200"), ("c03", "zero bytes")):
        assert seconds(found[camera]) == [("01", 0, 1), ("03", 3, 4)]
        assert gap_seconds(found[camera]) == [(1, 3)]
        assert f"{camera}/sub_video_02.mp4: " in found[camera].problems[0]
        assert reason in found[camera].problems[0]


def test_a_camera_that_starts_later_or_ends_early_keeps_its_place(store: ObjectStore):
    """Its first number decides where it begins, not the first file."""
    upload(store, {f"c01/sub_video_0{n}": clip(10 * n) for n in (1, 2, 3, 4)})
    upload(store, {f"c02/sub_video_0{n}": clip(10 * n) for n in (2, 3)})
    recording = timelines(store, "c01", "c02")["c02"]
    assert seconds(recording) == [("02", 1, 3), ("03", 3, 6)]
    assert (recording.start_ns, recording.end_ns) == (START_NS + S, START_NS + 6 * S)
    assert gap_seconds(recording) == [(0, 1), (6, 10)]


def test_a_camera_without_recordings_says_what_to_upload(store: ObjectStore):
    upload(store, {"c01/sub_video_01": clip(10)})
    recording = timelines(store, "c01", "c05")["c05"]
    assert recording.sub_videos == ()
    assert recording.start_ns == recording.end_ns == START_NS
    (problem,) = recording.problems
    assert "video_s37/c05/" in problem
    assert "upload" in problem
    assert "sub_video_01.mp4" in problem


def test_two_files_of_one_number_are_told(store: ObjectStore):
    upload(store, {"c01/sub_video_01": clip(10), "c01/sub_video_1": clip(20)})
    recording = timelines(store, "c01")["c01"]
    assert [s.key for s in recording.sub_videos] == ["video_s37/c01/sub_video_01.mp4"]
    assert "same number" in recording.problems[0]


def test_select_gives_what_overlaps(store: ObjectStore):
    """The start counts, the end does not."""
    upload(store, {f"c01/sub_video_0{n}": clip(10) for n in (1, 2, 3)})
    recording = timelines(store, "c01")["c01"]

    def numbers(start_s: float, end_s: float) -> list[str]:
        chosen = select(recording, START_NS + round(start_s * S), START_NS + round(end_s * S))
        return [s.key[-6:-4] for s in chosen]

    assert numbers(0, 3) == ["01", "02", "03"]
    assert numbers(1, 2) == ["02"]
    assert numbers(0.5, 1.000000001) == ["01", "02"]
    assert numbers(-5, 0) == numbers(3, 9) == []


def test_headers_are_read_once_and_again_when_they_change(
    open_bucket: OpenBucket, proxy: FaultyProxy, tmp_path: Path
):
    """The index on disk knows objects by etag; bad ones as well."""
    upload(open_bucket(), {"c01/sub_video_01": clip(10), "c01/sub_video_02": b"bad"})
    store = open_bucket(endpoint_url=proxy.url)
    first = timelines(store, "c01", index=tmp_path / "index")
    assert len(proxy.ranges()) > 0
    proxy.requests.clear()
    assert timelines(store, "c01", index=tmp_path / "index") == first
    assert proxy.ranges() == []
    upload(open_bucket(), {"c01/sub_video_02": clip(30)})
    changed = timelines(store, "c01", index=tmp_path / "index")["c01"]
    assert seconds(changed) == [("01", 0, 1), ("02", 1, 4)]


def test_a_damaged_index_is_ignored(store: ObjectStore, tmp_path: Path):
    upload(store, {"c01/sub_video_01": clip(10)})
    first = timelines(store, "c01", index=tmp_path)
    (index,) = tmp_path.glob("headers-*.json")
    for damaged in (b"", b"{", b'{"a": 1}', b'{"k": {"key": 5}}'):
        index.write_bytes(damaged)
        assert timelines(store, "c01", index=tmp_path) == first


def test_a_store_that_is_away_is_no_gap(open_bucket: OpenBucket, proxy: FaultyProxy):
    """A timeline made during an outage would put everything in the wrong place."""
    upload(open_bucket(), {f"c01/sub_video_0{n}": clip(10) for n in range(5)})
    proxy.refused = "sub_video_03.mp4"
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    with pytest.raises(ObjectStoreUnavailableError):
        timelines(store, "c01")


def test_cut_recordings_miss_and_repeat_no_frame(store: ObjectStore, tmp_path: Path):
    """A recording cut by a real encoder into uneven parts: one interval between all frames."""
    whole = recordings.write_video(tmp_path / "whole.mp4", 30, 10)
    for path in recordings.split_video(whole, tmp_path / "parts", [12, 5, 13]):
        store.put(f"video_s37/c01/{path.name}", path)
    recording = timelines(store, "c01")["c01"]
    interval_ns = recording.sub_videos[0].frame_interval_ns
    assert interval_ns == S // 10
    for before, after in pairwise(recording.sub_videos):
        last_frame_ns = before.start_ns + (before.frame_count - 1) * interval_ns
        assert after.start_ns - last_frame_ns == interval_ns
    assert recording.end_ns - recording.start_ns == 3 * S


def test_cameras_cut_into_different_numbers_of_files_lack_none(tmp_path):
    """Where all end together, a camera with fewer, longer sub-videos has no gap."""
    store = FolderStore(tmp_path)
    for camera, counts in {"c01": (20, 10, 30), "c02": (60,)}.items():
        (tmp_path / "env" / camera).mkdir(parents=True)
        for number, count in enumerate(counts, 1):
            recordings.write_video(
                tmp_path / "env" / camera / f"sub_video_{number:02d}.mp4", count, 10
            )
    found = read_timelines(store, "env", {"c01": "c01", "c02": "c02"}, 0)
    assert {r.end_ns for r in found.values()} == {6_000_000_000}
    assert [(r.gaps, r.problems) for r in found.values()] == [((), ()), ((), ())]
