"""A tracker's whole state as bytes, exact to the last bit, so that a resumed task goes on alike."""

from typing import Any

import msgspec
import numpy as np

from plugins.errors import InvalidInputError
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.gallery import Gallery, PersonLooks
from plugins.tracking.identity_state import IdentityState, Pair
from plugins.tracking.lag import Lag
from plugins.tracking.matching import Link
from plugins.tracking.people import People
from plugins.tracking.scenery import Scenery
from plugins.tracking.swaps import Story
from plugins.tracking.tracklets import CameraTracklets
from plugins.tracking.vector_pool import Vectors

_VERSION = 8


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
    looks: list[PersonLooks]
    average_look: Vectors | None
    links: dict[str, dict[int, Link]]
    together: list[tuple[Pair, float]]
    stories: list[Story]
    biases: dict[str, FloatArray]
    detection: dict[str, FloatArray]
    scenery: dict[str, Scenery]
    lag: Lag


def encode(
    set_index: int, tracklets: dict[str, CameraTracklets], state: IdentityState, lag: Lag
) -> bytes:
    """Bytes of everything a tracker knows."""
    snapshot = _Snapshot(
        version=_VERSION,
        set_index=set_index,
        time_ns=state.time_ns,
        tracklets=tracklets,
        people=state.people,
        model=state.gallery.model,
        vectors_per_person=state.gallery.vectors_per_person,
        looks=state.gallery.looks(),
        average_look=state.gallery.centre,
        links=state.links,
        together=list(state.together.items()),
        stories=list(state.stories.values()),
        biases=state.biases,
        detection=state.detection,
        scenery=state.scenery,
        lag=lag,
    )
    return msgspec.msgpack.encode(snapshot, enc_hook=_encode_array)


def decode(data: bytes) -> tuple[int, dict[str, CameraTracklets], IdentityState, Lag]:
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
    gallery = Gallery(
        snapshot.model, snapshot.vectors_per_person, snapshot.looks, snapshot.average_look
    )
    state = IdentityState(
        people=snapshot.people,
        gallery=gallery,
        links=snapshot.links,
        together=dict(snapshot.together),
        stories={s.pair: s for s in snapshot.stories},
        biases=snapshot.biases,
        detection=snapshot.detection,
        scenery=snapshot.scenery,
        time_ns=snapshot.time_ns,
    )
    return snapshot.set_index, snapshot.tracklets, state, snapshot.lag


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _Array(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
    raise NotImplementedError(f"{type(value).__name__} has no place in a snapshot")


def _decode_array(expected: Any, value: Any) -> Any:
    if getattr(expected, "__origin__", expected) is not np.ndarray:
        raise NotImplementedError(f"{expected} has no place in a snapshot")
    array = msgspec.convert(value, _Array)
    return np.frombuffer(array.data, np.dtype(array.dtype)).reshape(array.shape).copy()
