"""The binary message of one synchronised set, as ``/ws/frames/{task}`` sends it.

Little endian throughout::

    offset  size  field
    0       4     magic, the bytes "SPOT"
    4       1     version, 1
    5       1     flags: bit 0 set when a camera of the task is missing in this set
    6       2     camera count n
    8       8     frame index, unsigned
    16      8     media time, ns since 1970 UTC, signed
    24      24·n  per camera: 16 bytes id (UTF-8, zero padded), u32 JPEG length, u16 quality, u16 0
    24+24n  4     metadata length m
    28+24n  m     metadata: TrackingUpdate as JSON, UTF-8
    …             the n JPEGs, one after the other, in the order of the camera table
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAGIC = b"SPOT"
VERSION = 1
FLAG_INCOMPLETE = 1
HEADER = struct.Struct("<4sBBHQq")
CAMERA = struct.Struct("<16sIHH")
LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class BinarySet:
    """A decoded message; ``jpegs`` maps camera id to bytes."""

    frame_index: int
    media_time_ns: int
    is_incomplete: bool
    metadata_json: bytes
    jpegs: Mapping[str, bytes]
    qualities: Mapping[str, int]


def encode_set(
    frame_index: int,
    media_time_ns: int,
    metadata_json: bytes,
    jpegs: Mapping[str, bytes],
    quality: int,
    *,
    is_incomplete: bool,
) -> bytes:
    """One message; camera ids of more than 16 bytes raise ValueError."""
    flags = FLAG_INCOMPLETE if is_incomplete else 0
    parts = [HEADER.pack(MAGIC, VERSION, flags, len(jpegs), frame_index, media_time_ns)]
    parts += [CAMERA.pack(camera_name(c), len(jpeg), quality, 0) for c, jpeg in jpegs.items()]
    parts += [LENGTH.pack(len(metadata_json)), metadata_json, *jpegs.values()]
    return b"".join(parts)


def metadata_of(message: bytes) -> bytes:
    """The metadata alone; the pictures are not looked at."""
    at, length = _metadata_at(message)
    return message[at : at + length]


def with_metadata(message: bytes, metadata_json: bytes) -> bytes:
    """The same set with other metadata; the pictures are not looked at."""
    at, length = _metadata_at(message)
    head, pictures = message[: at - LENGTH.size], memoryview(message)[at + length :]
    return b"".join((head, LENGTH.pack(len(metadata_json)), metadata_json, pictures))


def _metadata_at(message: bytes) -> tuple[int, int]:
    at = HEADER.size + HEADER.unpack_from(message)[3] * CAMERA.size
    (length,) = LENGTH.unpack_from(message, at)
    return at + LENGTH.size, length


def camera_name(camera_id: str) -> bytes:
    """The id as the table holds it."""
    name = camera_id.encode()
    if len(name) > 16:
        raise ValueError(f"camera id {camera_id!r} is longer than 16 bytes")
    return name


def decode_set(message: bytes) -> BinarySet:
    """Inverse of encode_set; anything else raises ValueError."""
    try:
        return _decode(memoryview(message))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not a binary set: {error}") from error


def _decode(message: memoryview) -> BinarySet:
    magic, version, flags, count, frame_index, media_time_ns = HEADER.unpack_from(message)
    if magic != MAGIC or version != VERSION:
        raise ValueError(
            f"not a binary set of version {VERSION}: starts with {bytes(message[:5])!r}"
        )
    table = [CAMERA.unpack_from(message, HEADER.size + i * CAMERA.size) for i in range(count)]
    offset = HEADER.size + count * CAMERA.size
    (length,) = LENGTH.unpack_from(message, offset)
    offset += LENGTH.size
    metadata, offset = bytes(message[offset : offset + length]), offset + length
    names = [name.rstrip(b"\0").decode() for name, *_ in table]
    jpegs = dict(zip(names, _slices(message, offset, [size for _, size, *_ in table]), strict=True))
    return BinarySet(
        frame_index,
        media_time_ns,
        bool(flags & FLAG_INCOMPLETE),
        metadata,
        jpegs,
        dict(zip(names, (quality for *_, quality, _ in table), strict=True)),
    )


def _slices(message: memoryview, offset: int, lengths: Sequence[int]) -> list[bytes]:
    slices = []
    for length in lengths:
        slices.append(bytes(message[offset : offset + length]))
        offset += length
    if offset != len(message):
        raise ValueError(f"not a binary set: {len(message)} bytes, its header says {offset}")
    return slices
