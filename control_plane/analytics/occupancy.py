"""People at once, entries, exits and dwell, from stays."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from control_plane.analytics.visits import GAP_S

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stay:
    """A visit as it counts in a range: ``start_s`` to ``end_s`` is the part inside the range.

    ``is_entry`` and ``is_exit`` say whether it began and ended there; ``dwell_s`` is its whole
    length.
    """

    global_id: str
    start_s: float
    end_s: float
    dwell_s: float
    is_entry: bool
    is_exit: bool


class Bucket(msgspec.Struct, frozen=True):
    """Occupancy from ``start_s`` (seconds since 1970) for one bucket: ``mean`` over its time."""

    start_s: float
    mean: float
    peak: int
    entries: int
    exits: int


class Dwell(msgspec.Struct, frozen=True):
    """Lengths of whole stays in seconds; null without any."""

    stays: int
    mean_s: float | None
    median_s: float | None
    p90_s: float | None
    longest_s: float | None


def stay_in(global_id: str, visit: tuple[float, float], span: tuple[float, float]) -> Stay | None:
    """A visit cut to a span of one task, None where they do not meet. A visit that still goes on
    within GAP_S of the span's end has no exit.
    """
    entered, left = visit
    start, end = span
    if entered >= end or left < start:
        return None
    return Stay(
        global_id,
        max(entered, start),
        min(left, end),
        left - entered,
        is_entry=entered >= start,
        is_exit=left + GAP_S <= end,
    )


def buckets(stays: Sequence[Stay], start_s: float, end_s: float, bucket_s: float) -> list[Bucket]:
    """The range cut into buckets; the last may be shorter."""
    edges = np.append(np.arange(start_s, end_s, bucket_s), end_s)
    begins, ends = _times(stays)
    person_s = _seconds_before(begins, ends, edges)
    seconds = np.diff(person_s)
    entries = _count([s.start_s for s in stays if s.is_entry], edges)
    exits = _count([s.end_s for s in stays if s.is_exit], edges)
    peaks = _peaks(begins, ends, edges)
    return [
        Bucket(
            float(edges[k]),
            round(float(seconds[k] / (edges[k + 1] - edges[k])), 4),
            int(peaks[k]),
            int(entries[k]),
            int(exits[k]),
        )
        for k in range(len(edges) - 1)
    ]


def dwell(stays: Sequence[Stay]) -> Dwell:
    """Figures of whole stays."""
    if not stays:
        return Dwell(0, None, None, None, None)
    lengths = np.array([s.dwell_s for s in stays])
    middle, high = np.percentile(lengths, [50, 90])
    longest = float(lengths.max())
    return Dwell(len(stays), float(lengths.mean()), float(middle), float(high), longest)


def crowded(stays: Sequence[Stay], capacity: int) -> list[tuple[float, float, int]]:
    """Stretches (start, end, most people) in which more than ``capacity`` were there."""
    begins, ends = _times(stays)
    moments = np.unique(np.concatenate([begins, ends]))
    count = _at(begins, ends, moments)
    found: list[tuple[float, float, int]] = []
    over = np.concatenate([[False], count > capacity, [False]]).astype(np.int8)
    starts, stops = np.nonzero(np.diff(over) == 1)[0], np.nonzero(np.diff(over) == -1)[0]
    for first, last in zip(starts.tolist(), stops.tolist(), strict=True):
        until = moments[min(last, len(moments) - 1)]
        found.append((float(moments[first]), float(until), int(count[first:last].max())))
    return found


def merged(stays: Sequence[Stay]) -> list[Stay]:
    """Overlapping stays of the same person as one: presence in any of several places."""
    whole: list[Stay] = []
    for stay in sorted(stays, key=lambda s: (s.global_id, s.start_s)):
        last = whole[-1] if whole else None
        if last is None or last.global_id != stay.global_id or stay.start_s > last.end_s + GAP_S:
            whole.append(stay)
            continue
        end_s = max(last.end_s, stay.end_s)
        is_exit = stay.is_exit if stay.end_s >= last.end_s else last.is_exit
        length = end_s - last.start_s
        whole[-1] = Stay(last.global_id, last.start_s, end_s, length, last.is_entry, is_exit)
    return whole


def _times(stays: Sequence[Stay]) -> tuple[Array, Array]:
    return (
        np.sort(np.array([s.start_s for s in stays], dtype=np.float64)),
        np.sort(np.array([s.end_s for s in stays], dtype=np.float64)),
    )


def _seconds_before(begins: Array, ends: Array, moments: Array) -> Array:
    """Person-seconds (M,) before each moment."""
    return _elapsed(begins, moments) - _elapsed(ends, moments)


def _elapsed(events: Array, moments: Array) -> Array:
    """Sum over the events before each moment of the time since them."""
    count = np.searchsorted(events, moments)
    total = np.concatenate([[0.0], np.cumsum(events - events[0])]) if len(events) else np.zeros(1)
    origin = events[0] if len(events) else 0.0
    return np.asarray(count * (moments - origin) - total[count])


def _at(begins: Array, ends: Array, moments: Array) -> npt.NDArray[np.int64]:
    """People present just after each moment."""
    return np.asarray(
        np.searchsorted(begins, moments, side="right")
        - np.searchsorted(ends, moments, side="right")
    )


def _peaks(begins: Array, ends: Array, edges: Array) -> npt.NDArray[np.int64]:
    moments = np.unique(np.concatenate([edges[:-1], begins]))
    present = np.searchsorted(begins, moments, side="right") - np.searchsorted(ends, moments)
    peaks = np.zeros(len(edges) - 1, dtype=np.int64)
    place = np.searchsorted(edges, moments, side="right") - 1
    fits = (place >= 0) & (place < len(peaks))
    np.maximum.at(peaks, place[fits], present[fits])
    return peaks


def _count(times: Sequence[float], edges: Array) -> npt.NDArray[np.int64]:
    return np.asarray(np.histogram(np.array(times, dtype=np.float64), edges)[0])
