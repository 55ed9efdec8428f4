"""One camera: clips of every kind in, numbered frames out."""

import threading
import time
from pathlib import Path

import pytest

from plugins.frames import NS_PER_S
from plugins.gst.camera import CameraSource
from plugins.gst.demux import read_access_units
from plugins.gst.gstreamer import Gst
from plugins.media.timeline import LocalClip
from tests.gst.recorded import FOREVER_NS, START_NS, Player, clip
from tests.recordings import (
    corrupt_payload,
    split_video,
    truncate,
    write_audio_only,
    write_text_file,
    write_video,
)
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds at 10 frames/s, a key frame each second, numbers 0..49."""
    return write_video(tmp_path_factory.mktemp("good") / "sub_video_09.mp4", 50, 10)


def test_cuts_of_uneven_sub_videos_are_seamless(tmp_path: Path) -> None:
    """Frames cross from clip to clip with none lost or doubled, on one even clock."""
    counts = [3, 41, 1, 17, 2, 36]
    whole = write_video(tmp_path / "whole.mp4", sum(counts), 10, first_number=500)
    clips, first = [], 0
    for path, count in zip(split_video(whole, tmp_path / "cut", counts), counts, strict=True):
        clips.append(clip(path, count, start_s=first / 10))
        first += count
    played = Player(clips).play()
    assert played.numbers == list(range(500, 600))
    assert played.times_s == [k / 10 for k in range(100)]
    assert played.problems == []


def test_gap_between_clips_is_a_jump_of_media_time(good: Path) -> None:
    """An hour without recording costs nothing and shifts nothing."""
    played = Player([clip(good, 50), clip(good, 50, start_s=3000)]).play()
    assert played.times_s == [k / 10 for k in range(50)] + [3000 + k / 10 for k in range(50)]


def test_other_size_and_rate_follow_in_the_same_camera(tmp_path: Path, good: Path) -> None:
    """A clip of 640x360 at 25 frames/s goes on with 320x240 at 10 frames/s and back."""
    wide = write_video(tmp_path / "sub_video_02.mp4", 50, 25, 640, 360)
    clips = [clip(good, 50), clip(wide, 50, 25, start_s=5), clip(good, 50, start_s=7)]
    played = Player(clips).play()
    assert played.numbers == [*range(50), *range(50), *range(50)]
    assert [(f.width, f.height) for f in played.frames] == (
        [(320, 240)] * 50 + [(640, 360)] * 50 + [(320, 240)] * 50
    )
    assert all(f.i420.shape == (f.height * 3 // 2, f.width) for f in played.frames)
    assert played.times_s[49:52] == [4.9, 5.0, 5.04]
    assert played.problems == []


def test_odd_sizes_are_cropped_to_even(tmp_path: Path) -> None:
    """4:4:4 video of 321x241 becomes I420 of 320x240, its colours included."""
    path = write_video(tmp_path / "odd.mp4", 10, 10, 321, 241, pixel_format="Y444")
    played = Player([clip(path, 10)]).play()
    chroma = played.frames[0].i420[240:].reshape(2, 120, 160)
    assert abs(chroma[0].astype(int) - 110).max() <= 3
    assert abs(chroma[1].astype(int) - 140).max() <= 3
    assert played.numbers == list(range(10))
    assert {f.i420.shape for f in played.frames} == {(360, 320)}
    assert all(f.i420.flags.c_contiguous and f.i420.flags.owndata for f in played.frames)


def test_row_padding_of_the_decoder_is_removed(tmp_path: Path) -> None:
    """A width that GStreamer pads to four bytes in the colour planes leaves no stray columns."""
    path = write_video(tmp_path / "narrow.mp4", 5, 10, 322, 242)
    frame = Player([clip(path, 5)]).play().frames[0]
    chroma = frame.i420[242:].reshape(2, 121, 161)
    assert abs(chroma[0].astype(int) - 110).max() <= 3
    assert abs(chroma[1].astype(int) - 140).max() <= 3


@pytest.mark.parametrize("first", [0, 1, 9, 10, 11, 37, 49])
def test_start_in_the_middle_lands_on_the_exact_frame(good: Path, first: int) -> None:
    """Decoding begins at the key frame before, delivery at the wanted media time."""
    start_ns = START_NS + first * NS_PER_S // 10
    played = Player([clip(good, 50)], start_ns).play()
    assert played.numbers == list(range(first, 50))
    assert played.times_s == [k / 10 for k in range(first, 50)]
    assert played.problems == []


@pytest.mark.parametrize("end", [1, 2, 23, 24, 25, 50])
def test_end_is_exclusive_and_exact(good: Path, end: int) -> None:
    """B-frames make the decoder reorder; the frames before the end all come out nevertheless."""
    clips = [clip(good, 50), clip(good, 50, start_s=5)]
    played = Player(clips, end_ns=START_NS + end * NS_PER_S // 10).play()
    assert played.numbers == list(range(end))
    assert played.problems == []


def test_seek_skips_to_the_key_frame_before(good: Path) -> None:
    """The first access unit is the last key frame not after the wanted time."""
    one = clip(good, 50)
    units = list(read_access_units(one.sub_video, good, START_NS + 37 * NS_PER_S // 10))
    assert units[0].is_key
    assert units[0].media_time_ns == START_NS + 3 * NS_PER_S
    assert len(units) == 20
    assert all(u.decode_time_ns <= u.media_time_ns for u in units)


def _missing(folder: Path) -> Path:
    return folder / "bad.mp4"


def _zero(folder: Path) -> Path:
    (folder / "bad.mp4").touch()
    return folder / "bad.mp4"


def _text(folder: Path) -> Path:
    return write_text_file(folder / "bad.mp4")


def _tail(folder: Path) -> Path:
    return truncate(write_video(folder / "bad.mp4", 50, 10), 0.5)


def _audio(folder: Path) -> Path:
    return write_audio_only(folder / "bad.mp4")


def _mpeg4(folder: Path) -> Path:
    return write_video(folder / "bad.mp4", 50, 10, codec="mpeg4")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "gone; fetch it again"),
        (_zero, "upload the file again"),
        (_text, "upload the file again"),
        (_tail, "upload the file again"),
        (_audio, "holds audio/mpeg"),
        (_mpeg4, "holds video/mpeg (MPEG-4) but no H.264 video; encode it again"),
    ],
)
@pytest.mark.parametrize("start_s", [0.0, 2.5])
def test_bad_clip_is_one_named_problem_and_the_next_goes_on(
    tmp_path: Path, good: Path, make, says: str, start_s: float
) -> None:
    """Whether played from its beginning or from the middle."""
    clips = [clip(make(tmp_path), 50), clip(good, 50, start_s=5)]
    played = Player(clips, START_NS + round(start_s * NS_PER_S)).play()
    assert played.numbers == list(range(50))
    assert played.times_s[0] == 5.0
    (problem,) = played.problems
    assert problem.startswith("env/c01/bad.mp4: ")
    assert says in problem
    assert "\n" not in problem


def test_clip_that_was_not_fetched_is_reported_with_its_reason(good: Path) -> None:
    """The fetcher's own line is passed on."""
    absent = LocalClip(clip(good, 50).sub_video, None, "env/c01/x.mp4: access denied; see policy")
    played = Player([absent, clip(good, 50, start_s=5)]).play()
    assert played.problems == ["env/c01/x.mp4: access denied; see policy"]
    assert len(played.frames) == 50


def test_truncated_faststart_clip_is_reported_with_both_numbers(tmp_path: Path, good: Path) -> None:
    """GStreamer ends such a file cleanly; the container's count tells."""
    bad = truncate(write_video(tmp_path / "bad.mp4", 50, 10, faststart=True), 0.5)
    played = Player([clip(bad, 50), clip(good, 50, start_s=5)]).play()
    there = len(played.frames) - 50
    assert 0 < there < 50
    assert played.numbers == [*range(there), *range(50)]
    assert played.problems == [
        f"env/c01/bad.mp4: cut short, {there} of 50 frames are there; upload the file again"
    ]


@pytest.mark.parametrize("seed", range(3))
def test_corrupt_payload_is_counted_and_marked(tmp_path: Path, good: Path, seed: int) -> None:
    """Frames that the decoder dropped are named, those after them marked up to a key frame."""
    bad = corrupt_payload(write_video(tmp_path / "bad.mp4", 50, 10), seed)
    played = Player([clip(bad, 50), clip(good, 50, start_s=5)]).play()
    lost = 100 - len(played.frames)
    assert lost > 0
    (problem,) = played.problems
    assert problem.startswith(f"env/c01/bad.mp4: {lost} of 50 frames are damaged")
    assert any(f.is_corrupt for f in played.frames)
    assert played.numbers[-50:] == list(range(50))
    assert not any(f.is_corrupt for f in played.frames[-50:])


def test_decoder_that_fails_is_replaced_and_the_next_clip_plays(good: Path) -> None:
    """An error inside the decoder costs the rest of the clip it was at, no more."""
    player = Player([clip(good, 50), clip(good, 50, start_s=5), clip(good, 50, start_s=10)])
    decoder = player.source._decoder

    def keep_and_fail(frame) -> None:
        player.frames.append(frame)
        if len(player.frames) == 20:
            _post_error(decoder._pipeline)
            decoder.end()
            time.sleep(0.1)

    player.source._on_frame = keep_and_fail
    played = player.play()
    assert played.numbers[:20] == list(range(20))
    assert played.numbers[-100:] == [*range(50), *range(50)]
    (problem,) = played.problems
    assert problem.startswith("env/c01/sub_video_09.mp4: decoding broke off (out: made to fail)")


def _post_error(pipeline) -> None:
    from gi.repository import GLib  # noqa: PLC0415  # only this test makes a GStreamer error

    error = GLib.Error.new_literal(Gst.StreamError.quark(), "made to fail", Gst.StreamError.DECODE)
    message = Gst.Message.new_error(pipeline.get_by_name("out"), error, "test")
    pipeline.get_bus().post(message)


def test_clips_that_raise_end_the_camera_with_a_problem(good: Path) -> None:
    """What was fetched before still plays."""

    def clips():
        yield clip(good, 50)
        raise OSError("disk full")

    played = Player(clips()).play()
    assert len(played.frames) == 50
    assert played.problems == ["c01: its clips broke off (disk full); start the task again"]


def test_slow_consumer_holds_the_decoder_back(good: Path) -> None:
    """While ``on_frame`` blocks, only a few access units are taken from the files."""
    entered, go_on = threading.Event(), threading.Event()
    started: list[int] = []

    def clips():
        for k in range(20):
            started.append(k)
            yield clip(good, 50, start_s=5.0 * k)

    def block(_) -> None:
        entered.set()
        go_on.wait(PATIENCE_S)

    ended = threading.Event()
    source = CameraSource(
        "c01", clips(), START_NS, FOREVER_NS, on_frame=block, on_end=lambda _: ended.set()
    )
    source.start()
    assert entered.wait(PATIENCE_S)
    assert not ended.wait(0.3)
    assert len(started) <= 2
    go_on.set()
    source.close()
    assert ended.is_set()


def test_opening_and_closing_leaves_no_thread_and_no_file(good: Path) -> None:
    """Fifty cameras closed at any moment leave the process as it was."""
    Player([clip(good, 50)]).play()
    threads, files = _resources()
    for k in range(50):
        player = Player([clip(good, 50), clip(good, 50, start_s=5)])
        player.source.start()
        if k % 3 == 0:
            assert player.has_ended.wait(PATIENCE_S)
        player.source.close()
        player.source.close()
    after_threads, after_files = _resources()
    assert after_threads == threads
    assert after_files <= files + 2


def _resources() -> tuple[int, int]:
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
