"""MP4 files written box by box, so that tests can break each one on purpose."""

import struct
from collections.abc import Sequence

U32 = 0xFFFFFFFF


def box(kind: bytes, *payload: bytes) -> bytes:
    content = b"".join(payload)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def table(kind: bytes, *rows: tuple[int, ...], count: int | None = None) -> bytes:
    """A full box with its number of rows (or a false ``count``) and the rows as 32-bit numbers."""
    numbers = [number & U32 for row in rows for number in row]
    listed = len(rows) if count is None else count
    return box(kind, struct.pack(f">II{len(numbers)}I", 0, listed, *numbers))


def edit_list(*edits: tuple[int, int]) -> bytes:
    """``edits`` are (duration in 1/1000 s, first media time in ticks or -1 for nothing)."""
    rows = [(duration, start, 1 << 16) for duration, start in edits]
    return box(b"edts", table(b"elst", *rows))


def track(
    handler: bytes, timescale: int, tables: Sequence[bytes], edits: Sequence[tuple[int, int]] = ()
) -> bytes:
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, timescale, 0, 0)),
        box(b"hdlr", struct.pack(">II4s12xB", 0, 0, handler, 0)),
        box(b"minf", box(b"stbl", *tables)),
    )
    return box(b"trak", edit_list(*edits) if edits else b"", media)


def video_tables(
    codec: bytes, width: int, height: int, deltas: Sequence[tuple[int, int]], offset: int
) -> list[bytes]:
    frames = sum(count for count, _ in deltas)
    entry = box(codec, bytes(24), struct.pack(">HH", width, height), bytes(50))
    return [
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        table(b"stts", *deltas),
        table(b"stsc", (1, frames, 1)),
        box(b"stsz", struct.pack(">III", 0, 0, frames), struct.pack(">I", 10) * frames),
        table(b"stco", (offset,)),
    ]


def movie(*tracks: bytes) -> bytes:
    return box(b"moov", box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 0)), *tracks)


def mp4(
    *,
    deltas: Sequence[tuple[int, int]] = ((25, 1000),),
    timescale: int = 10_000,
    codec: bytes = b"avc1",
    size: tuple[int, int] = (320, 240),
    edits: Sequence[tuple[int, int]] = (),
    extra_tables: Sequence[bytes] = (),
    has_audio: bool = False,
    moov_first: bool = False,
) -> bytes:
    """A file whose frames are ten bytes each; ``deltas`` are the rows of ``stts``."""
    head = box(b"ftyp", b"isom", bytes(4))
    frames = sum(count for count, _ in deltas)
    media = box(b"mdat", bytes(10 * frames))

    def index(offset: int) -> bytes:
        tables = [*video_tables(codec, *size, deltas, offset), *extra_tables]
        sound = [track(b"soun", 48_000, [])] if has_audio else []
        return movie(*sound, track(b"vide", timescale, tables, edits))

    if not moov_first:
        return head + media + index(len(head) + 8)
    return head + index(len(head) + len(index(0)) + 8) + media
