"""When somebody was in a zone or in a camera's view, folded from samples as they come.

A zone is entered when a person is more than the hysteresis inside its border, and left when more
than that outside; in between nothing changes. A visit also ends when nothing is known of the
person for longer than GAP_S. Folding in pieces gives what folding at once gives.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from control_plane.analytics.floor import hysteresis_m, inside_distance

Array = npt.NDArray[np.float64]
Kind = Literal["zone", "camera"]
GAP_S = 2.0


@dataclass(frozen=True, slots=True)
class Visit:
    """A stay: ``entered_s`` and ``left_s`` are the media times of its first and last sample."""

    kind: Kind
    place_id: str
    global_id: str
    entered_s: float
    left_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One person's fused positions in order: ``times_s`` (N,), ``points_m`` (N, 2), and for each
    sample the cameras that saw the person then.
    """

    global_id: str
    times_s: Array
    points_m: Array
    cameras: Sequence[Sequence[str]]


class PersonState(msgspec.Struct):
    """What of a person's past the next samples need: when the person was last known, and for each
    place inside of which the person is, when it was entered.
    """

    last_s: float
    zones: dict[str, float]
    cameras: dict[str, tuple[float, float]]


State = dict[str, PersonState]


def fold(
    state: State, people: Iterable[Samples], zones: Mapping[str, Array]
) -> tuple[State, list[Visit]]:
    """Takes samples that follow those folded before; returns the new state, and every visit that
    began or went on (same person, place and ``entered_s``: a later ``left_s`` replaces it).
    """
    state = dict(state)
    visits: list[Visit] = []
    for samples in people:
        before = state.get(samples.global_id)
        gaps = np.nonzero(np.diff(samples.times_s) > GAP_S)[0] + 1
        for piece in np.split(np.arange(len(samples.times_s)), gaps):
            if before is not None and samples.times_s[piece[0]] - before.last_s > GAP_S:
                before = None
            before = _fold_piece(before, samples, piece, zones, visits)
        if before is not None:
            state[samples.global_id] = before
    return state, visits


def pruned(state: State, now_s: float) -> State:
    """Without those who have been away for so long that their next sample begins afresh."""
    return {g: s for g, s in state.items() if now_s - s.last_s <= GAP_S}


def _fold_piece(
    before: PersonState | None,
    samples: Samples,
    piece: npt.NDArray[np.int64],
    zones: Mapping[str, Array],
    visits: list[Visit],
) -> PersonState:
    times = samples.times_s[piece]
    after = PersonState(float(times[-1]), {}, {})
    for zone_id, polygon in zones.items():
        distance = inside_distance(samples.points_m[piece], polygon)
        entered = None if before is None else before.zones.get(zone_id)
        known = None if before is None else entered is not None
        is_inside = with_hysteresis(distance, hysteresis_m(polygon), known)
        for entered_s, left_s, is_last in _stays(times, is_inside, entered):
            visits.append(Visit("zone", zone_id, samples.global_id, entered_s, left_s))
            if is_last:
                after.zones[zone_id] = entered_s
    _fold_cameras(before, after, samples, piece, visits)
    return after


def with_hysteresis(
    distance_m: Array, margin_m: float, before: bool | None
) -> npt.NDArray[np.bool_]:
    """Inside or not (N,), from distances to the border; within the margin the state stays.

    ``before`` is the state before the first, None where the nearer side decides it.
    """
    verdict = np.sign(distance_m) * (np.abs(distance_m) >= margin_m)
    first = (distance_m[0] > 0) if before is None else before
    if verdict[0] == 0:
        verdict[0] = 1 if first else -1
    position = np.maximum.accumulate(np.where(verdict != 0, np.arange(len(verdict)), 0))
    return np.asarray(verdict[position] > 0)


def _stays(
    times: Array, is_inside: npt.NDArray[np.bool_], entered_s: float | None
) -> list[tuple[float, float, bool]]:
    """Runs of inside as (entered, left, goes on); a run that went on before keeps its entry."""
    padded = np.concatenate([[False], is_inside, [False]]).astype(np.int8)
    starts, ends = np.nonzero(np.diff(padded) == 1)[0], np.nonzero(np.diff(padded) == -1)[0]
    stays = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        goes_on = start == 0 and entered_s is not None
        entry = entered_s if goes_on and entered_s is not None else float(times[start])
        stays.append((entry, float(times[end - 1]), end == len(times)))
    return stays


def _fold_cameras(
    before: PersonState | None,
    after: PersonState,
    samples: Samples,
    piece: npt.NDArray[np.int64],
    visits: list[Visit],
) -> None:
    """A camera's view is left when it has not seen the person for GAP_S, others or not."""
    open_now = {} if before is None else dict(before.cameras)
    touched = set()
    for k in piece.tolist():
        now = float(samples.times_s[k])
        for camera_id in samples.cameras[k]:
            entered, last = open_now.get(camera_id, (now, now))
            if now - last > GAP_S:
                visits.append(Visit("camera", camera_id, samples.global_id, entered, last))
                entered = now
            open_now[camera_id] = (entered, now)
            touched.add(camera_id)
    for camera_id, (entered, last) in open_now.items():
        if camera_id in touched:
            visits.append(Visit("camera", camera_id, samples.global_id, entered, last))
        if after.last_s - last <= GAP_S:
            after.cameras[camera_id] = (entered, last)
