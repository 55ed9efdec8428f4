"""One person's way over the floor: how far, how fast, where it stopped.

Works on one position a second: between neighbouring sets the noise of a position would count as
walking.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from control_plane.analytics.visits import GAP_S

Array = npt.NDArray[np.float64]
STOP_RADIUS_M = 0.75
STOP_S = 5.0


class Stop(msgspec.Struct, frozen=True):
    """A stay within STOP_RADIUS_M of a point for at least STOP_S."""

    start_s: float
    seconds: float
    position_m: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person's positions, about one a second: times (N,) and places (N, 2), in order."""

    times_s: Array
    points_m: Array

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.times_s)


class Motion(msgspec.Struct, frozen=True):
    """``distance_m`` leaves out what happened within stops; ``average_speed_mps`` is over the time
    that was not a stop, ``max_speed_mps`` over two seconds; null where there are too few positions.
    """

    observed_s: float
    distance_m: float
    average_speed_mps: float | None
    max_speed_mps: float | None
    stopped_s: float
    stops: list[Stop]


def motion(track: Track) -> Motion:
    """Figures of a whole way; gaps longer than GAP_S count neither as time nor as distance."""
    found = stops(track)
    is_stopped = np.zeros(max(0, len(track) - 1), dtype=bool)
    for stop in found:
        inside = (track.times_s >= stop.start_s) & (track.times_s <= stop.start_s + stop.seconds)
        is_stopped |= inside[:-1] & inside[1:]
    seconds, metres = steps(track)
    is_known = seconds <= GAP_S
    walked = is_known & ~is_stopped
    walked_s, walked_m = float(seconds[walked].sum()), float(metres[walked].sum())
    fastest = speeds(track)
    return Motion(
        float(seconds[is_known].sum()),
        walked_m,
        walked_m / walked_s if walked_s > 0 else None,
        float(fastest.max()) if len(fastest) else None,
        float(seconds[is_known & is_stopped].sum()),
        found,
    )


def stops(track: Track) -> list[Stop]:
    """Greedy: a stop goes on while the next position is near the mean of those before."""
    found, first, count = [], 0, len(track)
    while first < count:
        total, last = track.points_m[first].copy(), first
        while last + 1 < count and track.times_s[last + 1] - track.times_s[last] <= GAP_S:
            mean = total / (last - first + 1)
            if np.hypot(*(track.points_m[last + 1] - mean)) > STOP_RADIUS_M:
                break
            last += 1
            total += track.points_m[last]
        seconds = float(track.times_s[last] - track.times_s[first])
        if seconds < STOP_S:
            first += 1
            continue
        x, y = (total / (last - first + 1)).tolist()
        found.append(Stop(float(track.times_s[first]), seconds, (x, y)))
        first = last + 1
    return found


def steps(track: Track) -> tuple[Array, Array]:
    """Seconds and metres (N - 1,) between neighbouring positions."""
    apart = np.diff(track.points_m, axis=0).reshape(-1, 2)
    return np.diff(track.times_s), np.asarray(np.hypot(apart[:, 0], apart[:, 1]))


def speeds(track: Track) -> Array:
    """Metres per second (M,) over every two steps without a gap."""
    seconds, _ = steps(track)
    if len(seconds) < 2:
        return np.zeros(0)
    is_known = (seconds[:-1] <= GAP_S) & (seconds[1:] <= GAP_S)
    apart = track.points_m[2:] - track.points_m[:-2]
    over = seconds[:-1] + seconds[1:]
    return np.asarray((np.hypot(apart[:, 0], apart[:, 1]) / over)[is_known])
