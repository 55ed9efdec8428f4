import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.errors import UnreadableVideoError
from plugins.media.mp4 import Mp4Info, read_mp4_info
from tests import recordings
from tests.media.boxes import U32, box, movie, mp4, table, track

VALID = mp4(has_audio=True, edits=[(2500, 0)], extra_tables=[table(b"ctts", (25, 0))])


def info(content: bytes, requests: list[tuple[int, int]] | None = None) -> Mp4Info:
    def read(start: int, length: int) -> bytes:
        if requests is not None:
            requests.append((start, length))
        return content[start : start + length]

    return read_mp4_info(read, len(content), "c01/sub_video_01.mp4")


def problem(content: bytes) -> str:
    with pytest.raises(UnreadableVideoError) as caught:
        info(content)
    assert str(caught.value).startswith("c01/sub_video_01.mp4: ")
    return str(caught.value)


@pytest.mark.parametrize("moov_first", [False, True])
def test_headers_say_codec_size_frames_and_exact_duration(moov_first: bool):
    """The index is found before and behind the media data."""
    found = info(mp4(moov_first=moov_first, has_audio=True))
    assert found == Mp4Info("h264", 320, 240, 25, 2_500_000_000, 100_000_000, 0, True)


def test_uneven_frame_times_are_summed_exactly():
    """29.97 frames a second: 30 frames last 1.001 s to the nanosecond."""
    found = info(mp4(deltas=[(30, 1001)], timescale=30_000))
    assert found.duration_ns == 1_001_000_000
    assert found.frame_interval_ns == 33_366_667


def test_a_last_frame_without_length_lasts_one_interval():
    """Muxers that do not know when the next frame comes write 0 or 1."""
    assert info(mp4(deltas=[(24, 1000), (1, 0)])).duration_ns == 2_500_000_000
    assert info(mp4(deltas=[(24, 1000), (1, 1)])).duration_ns == 2_500_000_000


def test_reordered_frames_start_at_zero_with_their_edit_list():
    """B-frames are shown two intervals after decoding; the edit list takes that back."""
    found = info(mp4(edits=[(2500, 2000)], extra_tables=[table(b"ctts", (25, 2000))]))
    assert (found.frame_count, found.first_frame_ns) == (25, 0)
    assert found.duration_ns == 2_500_000_000


def test_without_edit_list_the_first_frame_is_late():
    found = info(mp4(extra_tables=[table(b"ctts", (25, 2000))]))
    assert (found.frame_count, found.first_frame_ns) == (25, 200_000_000)


def test_frames_hidden_by_the_edit_list_do_not_count():
    """A cut without encoding keeps frames before the cut for decoding, and hides them."""
    found = info(mp4(edits=[(1500, 5000)]))
    assert (found.frame_count, found.duration_ns) == (15, 1_500_000_000)


def test_an_empty_edit_delays_the_first_frame():
    assert info(mp4(edits=[(700, -1), (2500, 0)])).first_frame_ns == 700_000_000


def test_only_headers_are_read():
    """Two small requests for a large file with its index at the end."""
    content = mp4(deltas=[(500_000, 1000)])
    requests: list[tuple[int, int]] = []
    assert info(content, requests).frame_count == 500_000
    index = content.rindex(b"moov") - 4
    assert [start for start, _ in requests] == [0, index, index + 8]
    assert sum(length for start, length in requests if start < index) <= 32 * 1024


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"", "zero bytes"),
        (b"hello, this is not a video\n" * 20, "not an MP4"),
        (VALID[:100], "truncated at 100 of at least"),
        (VALID[:-10], f"truncated at {len(VALID) - 10} of at least {len(VALID)}"),
        (VALID[: VALID.index(b"moov") - 4], "index (moov) is missing"),
        (mp4(moov_first=True)[:-5], "truncated at"),
        (mp4(codec=b"mp4v"), "MPEG-4 part 2 ('mp4v'), not H.264"),
        (mp4(codec=b"hvc1"), "H.265"),
        (mp4(size=(0, 0)), "size is 0x0"),
        (mp4(deltas=[]), "lists 0 frames"),
        (mp4(deltas=[(25, 0)]), "same time"),
        (mp4(timescale=0), "time scale is zero"),
        (mp4(edits=[(10, 90_000)]), "hides every frame"),
        (box(b"ftyp", b"isom") + movie(track(b"soun", 48_000, [])), "only sound"),
        (box(b"ftyp", b"isom") + movie(), "no track with pictures"),
        (box(b"ftyp", b"isom") + movie(box(b"mvex")), "fragmented"),
        (box(b"ftyp", b"isom") + movie(track(b"vide", 10, [])), "no 'stsz' box"),
    ],
)
def test_each_bad_file_is_named_with_finding_and_remedy(content: bytes, finding: str):
    line = problem(content)
    assert finding in line
    assert "; " in line  # the remedy follows


def test_pictures_that_should_lie_behind_the_end_are_missed():
    """The boxes are whole, yet the index points behind the file: it was pieced together."""
    content = mp4()
    at = content.index(b"stco") + 12
    moved = content[:at] + struct.pack(">I", len(content)) + content[at + 4 :]
    assert f"truncated at {len(content)} of {len(content) + 250} bytes" in problem(moved)


def test_huge_counts_allocate_nothing():
    """Four billion frames in a few bytes are refused before any table is spread out."""
    tables = [
        box(b"stsz", struct.pack(">III", 0, 10, U32)),
        table(b"stts", (U32, 1)),
        table(b"stco", count=U32),
    ]
    content = box(b"ftyp", b"isom") + movie(track(b"vide", 10_000, tables))
    assert f"lists {U32} frames" in problem(content)


def test_errors_of_the_reader_pass_through():
    """A store that is away is no bad video."""

    def read(_start: int, _length: int) -> bytes:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        read_mp4_info(read, 1000)


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused_in_one_way(noise: bytes, has_head: bool):
    """Whatever lies in a file: the answer is UnreadableVideoError, after few reads."""
    requests: list[tuple[int, int]] = []
    with pytest.raises(UnreadableVideoError):
        info((VALID[:16] if has_head else b"") + noise, requests)
    assert len(requests) <= 60


@given(
    st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=8),
    st.integers(0, len(VALID)),
)
@settings(max_examples=400, deadline=None)
def test_damaged_files_are_read_or_refused(changes: list[tuple[int, int]], kept: int):
    """Any byte changed and any length cut: an answer or UnreadableVideoError, never else."""
    content = bytearray(VALID)
    for at, value in changes:
        content[at] = value
    for damaged in (bytes(content), bytes(content[:kept])):
        try:
            found = info(damaged)
        except UnreadableVideoError:
            continue
        assert found.frame_count > 0
        assert found.duration_ns > 0


@given(
    st.sampled_from([b"stts", b"stsz", b"stsc", b"stco", b"ctts", b"elst", b"mdhd", b"mvhd"]),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_false_numbers_in_any_table_are_read_or_refused(kind: bytes, data: st.DataObject):
    """Extreme 32-bit numbers inside one table."""
    content = bytearray(VALID)
    at = content.index(kind) + 4
    extremes = st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, U32, U32 - 1, 0x01000000])
    for offset in range(0, 20, 4):
        content[at + offset : at + offset + 4] = struct.pack(">I", data.draw(extremes))
    with contextlib.suppress(UnreadableVideoError):
        assert info(bytes(content)).frame_count > 0


@pytest.mark.parametrize("faststart", [False, True])
def test_recordings_of_a_real_muxer(tmp_path: Path, faststart: bool):
    """x264 with B-frames through mp4mux: every frame is counted, the duration is exact."""
    path = recordings.write_video(tmp_path / "a.mp4", 23, 10, faststart=faststart)
    found = info(path.read_bytes())
    assert (found.width, found.height, found.frame_count) == (320, 240, 23)
    assert (found.duration_ns, found.frame_interval_ns) == (2_300_000_000, 100_000_000)
    assert found.first_frame_ns == 0
    assert "truncated" in problem(recordings.truncate(path, 0.6).read_bytes())


def test_sound_alone_is_refused(tmp_path: Path):
    assert "only sound" in problem(recordings.write_audio_only(tmp_path / "a.mp4").read_bytes())


def test_real_footage(test_data: Path):
    """Four synchronised cameras have 268 frames at 10 frames a second each."""
    for path in sorted((test_data / "lab4" / "videos").glob("*.mp4")):
        found = info(path.read_bytes())
        assert (found.width, found.height, found.frame_count) == (1288, 728, 268)
        assert (found.duration_ns, found.first_frame_ns) == (26_800_000_000, 0)
