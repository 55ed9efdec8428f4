"""A tracker's whole state as bytes, exact to the last bit, so that a resumed task goes on alike."""

from typing import Any

import msgspec
import numpy as np

from plugins.errors import InvalidInputError
from plugins.tracking.gallery import Entry, Gallery
from plugins.tracking.identity_state import IdentityState, Pair
from plugins.tracking.matching import Link
from plugins.tracking.people import People
from plugins.tracking.tracklets import CameraTracklets

_VERSION = 1


class _Array(msgspec.Struct, frozen=True, array_like=True):
    """A numpy array: dtype, shape, raw little-endian bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _Snapshot(msgspec.Struct, frozen=True):
    version: int
    set_index: int
    time_ns: int
    tracklets: dict[str, CameraTracklets]
    people: People
    model: str
    vectors_per_person: int
    entries: list[Entry]
    links: dict[str, dict[int, Link]]
    apart: list[Pair]
    together_s: list[tuple[Pair, float]]


def encode(set_index: int, tracklets: dict[str, CameraTracklets], state: IdentityState) -> bytes:
    """Bytes of everything a tracker knows."""
    snapshot = _Snapshot(
        version=_VERSION,
        set_index=set_index,
        time_ns=state.time_ns,
        tracklets=tracklets,
        people=state.people,
        model=state.gallery.model,
        vectors_per_person=state.gallery.vectors_per_person,
        entries=state.gallery.entries,
        links=state.links,
        apart=sorted(state.apart),
        together_s=list(state.together_s.items()),
    )
    return msgspec.msgpack.encode(snapshot, enc_hook=_encode_array)


def decode(data: bytes) -> tuple[int, dict[str, CameraTracklets], IdentityState]:
    """Inverse of ``encode``. Raises InvalidInputError for anything else."""
    try:
        snapshot = msgspec.msgpack.decode(data, type=_Snapshot, dec_hook=_decode_array)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise InvalidInputError(
            f"not a tracker snapshot ({error}): start the task from its beginning"
        ) from error
    if snapshot.version != _VERSION:
        raise InvalidInputError(
            f"tracker snapshot of version {snapshot.version}, this program reads {_VERSION}: "
            "start the task from its beginning"
        )
    gallery = Gallery(snapshot.model, snapshot.vectors_per_person, snapshot.entries)
    state = IdentityState(
        people=snapshot.people,
        gallery=gallery,
        links=snapshot.links,
        apart=set(snapshot.apart),
        together_s=dict(snapshot.together_s),
        time_ns=snapshot.time_ns,
    )
    return snapshot.set_index, snapshot.tracklets, state


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _Array(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
    raise NotImplementedError(f"{type(value).__name__} has no place in a snapshot")


def _decode_array(expected: Any, value: Any) -> Any:
    if getattr(expected, "__origin__", expected) is not np.ndarray:
        raise NotImplementedError(f"{expected} has no place in a snapshot")
    array = msgspec.convert(value, _Array)
    return np.frombuffer(array.data, np.dtype(array.dtype)).reshape(array.shape).copy()
