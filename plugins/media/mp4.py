"""What the headers of an MP4 say, read without its pictures.

Boxes after ISO/IEC 14496-12 (ISO base media file format), sample entries after 14496-15 (AVC).
Only the headers are asked for, so over S3 a probe costs two or three small range requests.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plugins.errors import UnreadableVideoError
from plugins.frames import NS_PER_S

ReadRange = Callable[[int, int], bytes]
Boxes = dict[bytes, bytes]
Ints = npt.NDArray[np.int64]

WINDOW_BYTES = 32 * 1024
MAX_BOXES = 1024
MAX_MOOV_BYTES = 64 * 1024 * 1024
MAX_FRAMES = 4_000_000
_FIRST_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid"})
_H264 = frozenset({b"avc1", b"avc3"})
_OTHER_CODECS = {
    b"mp4v": "MPEG-4 part 2",
    b"hvc1": "H.265",
    b"hev1": "H.265",
    b"av01": "AV1",
    b"vp09": "VP9",
    b"jpeg": "Motion JPEG",
}
_REENCODE = "re-encode it to H.264 (ffmpeg -i IN -c:v libx264 OUT.mp4) and upload it again"
_AGAIN = "export it from the recorder and upload it again"


@dataclass(frozen=True, slots=True)
class Mp4Info:
    """One H.264 recording. ``frame_count`` is the frames that a player shows, ``duration_ns`` from
    the first frame's begin to the last one's end, ``frame_interval_ns`` the most frequent distance
    of two frames, ``first_frame_ns`` when the first is shown, on the file's own clock (0 in almost
    all files). ``width`` and ``height`` are pixels.
    """

    codec: str
    width: int
    height: int
    frame_count: int
    duration_ns: int
    frame_interval_ns: int
    first_frame_ns: int
    has_audio: bool


class _Broken(Exception):  # noqa: N818  # becomes an UnreadableVideoError with the file's name
    """What was found instead of a playable file, and the remedy."""


def read_mp4_info(read: ReadRange, size: int, name: str = "the video") -> Mp4Info:
    """Headers of the MP4 of ``size`` bytes whose bytes ``read(start, length)`` returns.

    Raises UnreadableVideoError (named ``name``, with the finding and the remedy) for anything that
    is no complete MP4 with an H.264 track; whatever ``read`` raises passes through.
    """
    try:
        return _info(_Window(read, size), size)
    except _Broken as broken:
        raise UnreadableVideoError(f"{name}: {broken}") from None


def _info(window: "_Window", size: int) -> Mp4Info:
    if size == 0:
        raise _broken("it is empty (zero bytes)", _AGAIN)
    movie = _children(_find_movie(window, size))
    if b"mvex" in movie:
        raise _broken("it is a fragmented MP4", "rewrite it with ffmpeg -i IN -c copy OUT.mp4")
    timescale = _uint(_need(movie, b"mvhd"), 20 if _is_version_1(movie[b"mvhd"]) else 12, 4)
    tracks = [_children(box) for kind, box in _boxes(movie[b""]) if kind == b"trak"]
    kinds = [_handler(track) for track in tracks]
    if b"vide" not in kinds:
        found = "only sound" if b"soun" in kinds else "no track with pictures"
        raise _broken(f"it has {found}", "upload the recording that has the camera's video")
    track = _Track(tracks[kinds.index(b"vide")], max(timescale, 1))
    width, height = track.check_codec()
    missing_until = track.media_end()
    if missing_until > size:
        raise _broken(f"it is truncated at {size} of {missing_until} bytes", _AGAIN)
    count, first, duration, interval = track.timing()
    return Mp4Info(
        codec="h264",
        width=width,
        height=height,
        frame_count=count,
        duration_ns=_scaled(duration, NS_PER_S, track.timescale),
        frame_interval_ns=_scaled(interval, NS_PER_S, track.timescale),
        first_frame_ns=_scaled(first, NS_PER_S, track.timescale),
        has_audio=b"soun" in kinds,
    )


class _Window:
    """Reads ahead a little, so that a run of small boxes costs one request."""

    def __init__(self, read: ReadRange, size: int) -> None:
        self._read, self._size = read, size
        self._start, self._bytes = 0, b""

    def get(self, start: int, length: int) -> bytes:
        if not self._start <= start <= start + length <= self._start + len(self._bytes):
            wanted = min(max(length, WINDOW_BYTES), self._size - start)
            self._start, self._bytes = start, self._read(start, wanted)
        offset = start - self._start
        return self._bytes[offset : offset + length]


def _find_movie(window: _Window, size: int) -> bytes:
    """Payload of the ``moov`` box, which may lie before or behind the media data."""
    at, movie = 0, b""
    for _ in range(MAX_BOXES):
        if at + 8 > size:
            break
        kind, header, length = _box_header(window.get(at, 16), size - at)
        if at == 0 and kind not in _FIRST_BOXES:
            raise _broken("it is not an MP4 file", "upload an MP4 with H.264 video")
        if kind == b"moof":
            break
        if at + length > size:
            raise _broken(f"it is truncated at {size} of at least {at + length} bytes", _AGAIN)
        if kind == b"moov":
            movie = window.get(at + header, _at_most(length - header))
        at += length
    if not movie:
        raise _broken("its index (moov) is missing, so the recording was cut short", _AGAIN)
    return movie


def _at_most(moov_bytes: int) -> int:
    if moov_bytes > MAX_MOOV_BYTES:
        raise _broken(f"its index claims {moov_bytes} bytes", _AGAIN)
    return moov_bytes


def _box_header(header: bytes, left: int) -> tuple[bytes, int, int]:
    """(kind, header bytes, total bytes) of the box that starts with ``header``."""
    length, kind = int.from_bytes(header[:4], "big"), header[4:8]
    header_bytes = 8
    if length == 1 and len(header) >= 16:
        length, header_bytes = int.from_bytes(header[8:16], "big"), 16
    if length == 0:  # to the end; writers that were killed leave it so
        length = left
    if length < header_bytes or len(kind) < 4:
        raise _broken("it is no MP4, or its boxes are damaged", _AGAIN)
    return kind, header_bytes, length


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes inside ``data``, as (kind, payload)."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return
        kind, header, length = _box_header(data[at : at + 16], len(data) - at)
        if at + length > len(data):
            raise _broken("its index is damaged", _AGAIN)
        yield kind, data[at + header : at + length]
        at += length
    raise _broken("its index is damaged", _AGAIN)


def _children(data: bytes) -> Boxes:
    """First child box of each kind; the whole payload under ``b""``."""
    children: Boxes = {b"": data}
    for kind, payload in _boxes(data):
        children.setdefault(kind, payload)
    return children


def _handler(track: Boxes) -> bytes:
    media = _children(track.get(b"mdia", b""))
    return media.get(b"hdlr", b"")[8:12]


class _Track:
    """The video track's tables. Times are ticks of ``timescale`` per second."""

    def __init__(self, track: Boxes, movie_timescale: int) -> None:
        media = _children(_need(track, b"mdia"))
        header = _need(media, b"mdhd")
        self.timescale = _uint(header, 20 if _is_version_1(header) else 12, 4)
        if self.timescale == 0:
            raise _broken("its time scale is zero", _REENCODE)
        self._tables = _children(_need(_children(_need(media, b"minf")), b"stbl"))
        self._edits = _children(track.get(b"edts", b"")).get(b"elst", b"")
        self._movie_timescale = movie_timescale
        self._sizes = self._sample_sizes()

    def check_codec(self) -> tuple[int, int]:
        """Width and height, if the pictures are H.264."""
        for codec, entry in _boxes(_need(self._tables, b"stsd")[8:]):
            width, height = _uint(entry, 24, 2), _uint(entry, 26, 2)
            if codec not in _H264:
                shown = _OTHER_CODECS.get(codec, "an unknown codec")
                raise _broken(
                    f"its video is {shown} ({codec.decode('latin-1')!r}), not H.264", _REENCODE
                )
            if width == 0 or height == 0:
                raise _broken(f"its picture size is {width}x{height}", _REENCODE)
            return width, height
        raise _broken("it names no video codec", _REENCODE)

    def media_end(self) -> int:
        """Where the last byte of the pictures should lie."""
        if b"co64" in self._tables:
            offsets = _table(self._tables[b"co64"], ">u8", 1)[:, 0]
        else:
            offsets = _table(_need(self._tables, b"stco"), ">u4", 1)[:, 0]
        runs = _table(_need(self._tables, b"stsc"), ">u4", 3)
        if not len(offsets) or not len(runs) or offsets.min() < 0:
            raise _broken("its index lists no pictures", _AGAIN)
        run_of_chunk = np.searchsorted(runs[:, 0], np.arange(1, len(offsets) + 1), "right") - 1
        per_chunk = runs[np.maximum(run_of_chunk, 0), 1]
        ends = np.minimum(np.cumsum(per_chunk), len(self._sizes))
        bytes_until = np.concatenate(([0], np.cumsum(self._sizes)))
        chunk_bytes = np.diff(bytes_until[ends], prepend=0)
        last = int(np.argmax(offsets))
        return int(offsets[last]) + int(chunk_bytes[last])

    def timing(self) -> tuple[int, int, int, int]:
        """(frames shown, first frame's time, duration, most frequent interval), in ticks."""
        deltas = self._deltas()
        interval = _most_frequent(deltas)
        if deltas[-1] * 10 < interval:
            deltas[-1] = interval  # many muxers do not know how long the last frame lasts
        total = int(deltas.sum())
        shown_at = np.sort(np.cumsum(deltas) - deltas + self._composition_offsets(len(deltas)))
        delay, start, end = self._edit()
        slack = interval // 2
        shown = shown_at[(shown_at >= start - slack) & (shown_at < end - slack)]
        if not len(shown):
            raise _broken("its edit list hides every frame", "rewrite it with ffmpeg -c:v libx264")
        if len(shown) < len(shown_at):
            total = int(shown[-1] - shown[0]) + interval
        first = int(shown[0]) - start + delay
        return len(shown), max(first, 0), total, interval

    def _sample_sizes(self) -> Ints:
        table = _need(self._tables, b"stsz")
        uniform, count = _uint(table, 4, 4), _uint(table, 8, 4)
        if not 0 < count <= MAX_FRAMES:
            raise _broken(f"its index lists {count} frames", _AGAIN)
        if uniform:
            return np.full(count, uniform, np.int64)
        return _table(table[4:], ">u4", 1)[:, 0]

    def _deltas(self) -> Ints:
        """Ticks from each frame to the next in decoding order: int64 (frames,)."""
        runs = _table(_need(self._tables, b"stts"), ">u4", 2)
        if int(runs[:, 0].sum()) != len(self._sizes):
            raise _broken("its index contradicts itself about the number of frames", _AGAIN)
        deltas = np.repeat(runs[:, 1], runs[:, 0])
        if not deltas.any():
            raise _broken("all its frames have the same time", _REENCODE)
        return deltas

    def _composition_offsets(self, count: int) -> Ints:
        """Ticks from decoding to showing (B-frames); zeros where there is no such table."""
        offsets = np.zeros(count, np.int64)
        if b"ctts" in self._tables:
            runs = _table(self._tables[b"ctts"], ">u4", 2)
            if int(runs[:, 0].sum()) <= count:
                listed = np.repeat(runs[:, 1].astype(np.uint32).view(np.int32), runs[:, 0])
                offsets[: len(listed)] = listed
        return offsets

    def _edit(self) -> tuple[int, int, int]:
        """(delay before the first frame, media time shown first, media time shown no more)."""
        is_long = _is_version_1(self._edits)
        count, width = _uint(self._edits, 4, 4) if self._edits else 0, 8 if is_long else 4
        delay, at = 0, 8
        for _ in range(min(count, len(self._edits) // (2 * width + 4))):
            duration = self._ticks(_uint(self._edits, at, width))
            start = int.from_bytes(self._edits[at + width : at + 2 * width], "big", signed=True)
            if start >= 0:
                return delay, start, start + duration if duration else 1 << 62
            delay, at = delay + duration, at + 2 * width + 4
        return delay, 0, 1 << 62

    def _ticks(self, movie_ticks: int) -> int:
        return _scaled(movie_ticks, self.timescale, self._movie_timescale)


def _scaled(value: int, numerator: int, denominator: int) -> int:
    """``value * numerator / denominator``, rounded, without floating point."""
    return (2 * value * numerator + denominator) // (2 * denominator)


def _most_frequent(deltas: Ints) -> int:
    values, counts = np.unique(deltas[deltas > 0], return_counts=True)
    return int(values[np.argmax(counts)])


def _table(box: bytes, kind: str, columns: int) -> Ints:
    """Rows of a full box's table whose length stands before it: int64 (rows, columns)."""
    rows, width = _uint(box, 4, 4), np.dtype(kind).itemsize * columns
    if rows > MAX_FRAMES or len(box) < 8 + rows * width:
        raise _broken("its index is damaged", _AGAIN)
    return np.frombuffer(box, kind, rows * columns, 8).astype(np.int64).reshape(rows, columns)


def _need(boxes: Boxes, kind: bytes) -> bytes:
    if kind not in boxes:
        raise _broken(f"its index has no {kind.decode()!r} box", _AGAIN)
    return boxes[kind]


def _uint(box: bytes, at: int, length: int) -> int:
    if len(box) < at + length:
        raise _broken("its index is damaged", _AGAIN)
    return int.from_bytes(box[at : at + length], "big")


def _is_version_1(box: bytes) -> bool:
    return box[:1] == b"\x01"


def _broken(finding: str, remedy: str) -> _Broken:
    return _Broken(f"{finding}; {remedy}")
