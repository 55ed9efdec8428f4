"""Recordings made for tests: H.264 with B-frames and a readable number in each frame, and bad ones.

The number is burned in as 16 black or white blocks over the whole width of the picture's top, bit 0
at the left, so it survives compression and resizing.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.gst.encoder import VideoWriter
from plugins.gst.gstreamer import Gst

NUMBER_BITS = 16
_BAR_SHARE = 12
_TIMEOUT_NS = 300 * Gst.SECOND

Gray = npt.NDArray[np.uint8]


def read_number(gray: npt.NDArray[Any]) -> int:
    """The number burned into a picture, given its luma or grey values (height, width) or more rows
    (a packed I420 picture will do, its Y rows come first).
    """
    height, width = gray.shape
    row = height // _BAR_SHARE // 3
    cell = width / NUMBER_BITS
    columns = ((np.arange(NUMBER_BITS) + 0.5) * cell).astype(int)
    return sum(1 << bit for bit in range(NUMBER_BITS) if gray[row, columns[bit]] > 128)


def burn_number(gray: npt.NDArray[Any], number: int) -> None:
    """Writes ``number`` (0..65535) into the top of ``gray`` (height, width), in place."""
    height, width = gray.shape
    bits = (number >> (np.arange(width) * NUMBER_BITS // width)) & 1
    gray[: height // _BAR_SHARE] = np.where(bits, 235, 16)


def write_video(
    path: Path,
    frames: int,
    fps: float | Fraction,
    width: int = 320,
    height: int = 240,
    *,
    first_number: int = 0,
    seed: int = 0,
    codec: str = "h264",
    faststart: bool = False,
    pixel_format: str = "I420",
) -> Path:
    """Writes an MP4 of a moving texture whose frames carry ``first_number``, ``first_number + 1``…

    A key frame about once a second, two B-frames between reference frames (H.264). ``codec`` is one
    of h264, mpeg4, h265; ``pixel_format`` I420 or Y444 (4:4:4 may have odd sizes).
    """
    rate = Fraction(fps).limit_denominator(1001)
    options: dict[str, Any] = {"codec": codec, "faststart": faststart, "pixel_format": pixel_format}
    with VideoWriter(path, rate, width, height, **options) as writer:
        for index, luma in enumerate(_moving_texture(frames, width, height, seed)):
            burn_number(luma, first_number + index)
            writer.write(_planes(luma, pixel_format))
    return path


def split_video(source: Path, folder: Path, frame_counts: Sequence[int]) -> list[Path]:
    """Cuts ``source`` into ``folder/sub_video_01.mp4``, … of ``frame_counts`` frames each, encoded
    again at high quality: every frame once, in order. Raises ValueError when ``source`` is shorter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"sub_video_{n + 1:02d}.mp4" for n in range(len(frame_counts))]
    pictures = _pictures(source)
    for path, count in zip(paths, frame_counts, strict=True):
        _write_next(path, pictures, count)
    pictures.close()
    return paths


def write_audio_only(path: Path, seconds: float = 2.0) -> Path:
    """Writes an MP4 with one AAC track and no picture."""
    _run(
        f"audiotestsrc num-buffers={round(seconds * 48)} samplesperbuffer=1000"
        f" ! audio/x-raw,rate=48000 ! audioconvert ! avenc_aac ! mp4mux ! filesink name=out",
        path,
    )
    return path


def write_text_file(path: Path) -> Path:
    """Writes plain text under a video's name."""
    path.write_text("hello, this is not a video\n" * 200)
    return path


def truncate(path: Path, fraction: float) -> Path:
    """Cuts a file to ``fraction`` of its size, in place."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    return path


def corrupt_payload(path: Path, seed: int = 0) -> Path:
    """Overwrites 20 bytes at many places of the middle half of the media data, in place; the
    container's tables stay whole.
    """
    content = bytearray(path.read_bytes())
    tag = content.index(b"mdat")
    start, size = tag + 4, int.from_bytes(content[tag - 4 : tag], "big")
    random = np.random.default_rng(seed)
    first, last = start + size // 4, start + size * 3 // 4
    for offset in random.integers(first, last - 20, max(40, size // 500)):
        content[offset : offset + 20] = random.bytes(20)
    path.write_bytes(bytes(content))
    return path


def _planes(luma: Gray, pixel_format: str) -> list[Gray]:
    shape = luma.shape if pixel_format == "Y444" else (luma.shape[0] // 2, luma.shape[1] // 2)
    return [luma, np.full(shape, 110, np.uint8), np.full(shape, 140, np.uint8)]


def _moving_texture(frames: int, width: int, height: int, seed: int) -> Iterator[Gray]:
    """Blocks of grey drifting to the left with a bright bar crossing them."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 200, (height // 8 + 1, width // 8 + 1), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((8, 8), np.uint8))[:height, :width]
    for index in range(frames):
        luma = np.roll(texture, -2 * index, axis=1)
        left = (index * 5 + seed * 40) % max(1, width - 16)
        luma[height // 3 : height // 2, left : left + 16] = 220
        yield np.ascontiguousarray(luma)


def _write_next(path: Path, pictures: "Iterator[_Picture]", count: int) -> None:
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path.name}: the source has no frame left")
    rate, planes = first
    height, width = planes[0].shape
    with VideoWriter(path, rate, width, height, quantizer=18, preset="superfast") as writer:
        writer.write(planes)
        for done in range(1, count):
            picture = next(pictures, None)
            if picture is None:
                raise ValueError(f"{path.name}: the source ends {count - done} frames too early")
            writer.write(picture[1])


_Picture = tuple[Fraction, list[Gray]]


def _pictures(source: Path) -> Any:
    """Decodes a file: yields (frames per second, Y, U and V planes). A generator, so closable."""
    pipeline = Gst.parse_launch(
        "filesrc name=in ! decodebin ! videoconvert n-threads=1 ! video/x-raw,format=I420"
        " ! appsink name=out sync=false max-buffers=2"
    )
    pipeline.get_by_name("in").set_property("location", str(source))
    pipeline.set_state(Gst.State.PLAYING)
    try:
        while (sample := pipeline.get_by_name("out").pull_sample()) is not None:
            yield _picture_of(sample)
    finally:
        pipeline.set_state(Gst.State.NULL)


def _picture_of(sample: Any) -> _Picture:
    caps = sample.get_caps().get_structure(0)
    width, height = caps.get_value("width"), caps.get_value("height")
    _, numerator, denominator = caps.get_fraction("framerate")
    content = sample.get_buffer().extract_dup(0, sample.get_buffer().get_size())
    planes, offset = [], 0
    for columns, rows in ((width, height), (width // 2, height // 2), (width // 2, height // 2)):
        stride = (columns + 3) // 4 * 4
        plane = np.frombuffer(content, np.uint8, stride * rows, offset).reshape(rows, stride)
        planes.append(plane[:, :columns])
        offset += stride * rows
    return Fraction(numerator, denominator), planes


def _run(description: str, path: Path) -> None:
    pipeline = Gst.parse_launch(description)
    pipeline.get_by_name("out").set_property("location", str(path))
    pipeline.set_state(Gst.State.PLAYING)
    try:
        _wait_for_end(pipeline)
    finally:
        pipeline.set_state(Gst.State.NULL)


def _wait_for_end(pipeline: Any) -> None:
    if _raise_error(pipeline, _TIMEOUT_NS, Gst.MessageType.EOS) is None:
        raise TimeoutError("GStreamer did not finish writing a test recording")


def _raise_error(pipeline: Any, wait_ns: int, other: Any = Gst.MessageType.UNKNOWN) -> Any:
    """Waits for an error, which it raises, or a message of the ``other`` kind, which it returns."""
    kinds = Gst.MessageType.ERROR | other
    message = pipeline.get_bus().timed_pop_filtered(wait_ns, kinds)
    if message is not None and message.type == Gst.MessageType.ERROR:
        raise RuntimeError(f"GStreamer: {message.parse_error()[0].message}")
    return message
