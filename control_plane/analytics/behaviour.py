"""What stands out in one person's way, and where they will be shortly; each with its method."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from control_plane.analytics.floor import CELL_M
from control_plane.analytics.journey import Track, speeds
from control_plane.analytics.visits import GAP_S

Array = npt.NDArray[np.float64]
Cell = tuple[int, int]
LOITER_RADIUS_M = 2.0
LOITER_S = 60.0
RUN_MPS = 2.5
UNUSUAL_P = 0.05
MIN_HISTORY = 20
FIT_S = 3.0
AHEAD_S = (1.0, 2.0, 3.0, 5.0)
ACCELERATION_MPS15 = 0.6


class Finding(msgspec.Struct, frozen=True):
    """One question about a way. ``confidence`` (0 to 1) is that of the verdict, null where there is
    too little to tell; ``value`` and ``threshold`` are what was compared.
    """

    kind: str
    is_present: bool | None
    confidence: float | None
    value: float | None
    threshold: float
    unit: str
    method: str


class Predicted(msgspec.Struct, frozen=True):
    """Where a person will be, with the standard deviation per axis."""

    seconds_ahead: float
    position_m: tuple[float, float]
    sigma_m: float


def loitering(track: Track, sigma_m: float) -> Finding:
    """The longest time within LOITER_RADIUS_M of a point, LOITER_S or more.

    Confidence: how likely the mean radius, known to ``sigma_m``, is within (or beyond) the limit.
    """
    seconds, radius = _longest_within(track, LOITER_RADIUS_M)
    is_present = seconds >= LOITER_S
    margin = (LOITER_RADIUS_M - radius) if is_present else (LOITER_S - seconds) / LOITER_S
    scale = max(sigma_m, 0.05) if is_present else 0.25
    confidence = float(norm.cdf(margin / scale)) if len(track) else None
    method = f"longest stay within {LOITER_RADIUS_M:g} m of its mean position"
    return Finding(
        "loitering", is_present if len(track) else None, confidence, seconds, LOITER_S, "s", method
    )


def running(track: Track, sigma_m: float) -> Finding:
    """The highest speed kept over four seconds, against RUN_MPS.

    Confidence: how likely the true speed is on the same side, positions being known to ``sigma_m``.
    """
    own = speeds(track)
    method = "highest mean of three neighbouring speeds, each over two seconds"
    if len(own) < 3:
        return Finding("running", None, None, None, RUN_MPS, "m/s", method)
    value = float(np.convolve(own, np.ones(3) / 3, "valid").max())
    error = max(sigma_m, 0.05) * np.sqrt(2) / 4
    confidence = float(norm.cdf(abs(value - RUN_MPS) / error))
    return Finding("running", value >= RUN_MPS, confidence, value, RUN_MPS, "m/s", method)


def unusual_path(cells: Mapping[Cell, int], others: Sequence[Mapping[Cell, int]]) -> Finding:
    """How rare the visited cells are in the ways of ``others`` in the same environment.

    A way's rarity is the mean of -ln p over its samples, p being the share of all other ways that
    touch the cell (add-one smoothed). Its p-value is its rank among the others' rarities, each
    measured against the rest; unusual at UNUSUAL_P or below. Needs MIN_HISTORY others.
    """
    method = f"rank of the way's rarity among {len(others)} others of the environment"
    if len(others) < MIN_HISTORY or not cells:
        return Finding("unusual_path", None, None, None, UNUSUAL_P, "p-value", method)
    touched: dict[Cell, int] = {}
    for other in others:
        for cell in other:
            touched[cell] = touched.get(cell, 0) + 1
    own = _rarity(cells, touched, len(others), own_share=0)
    rarities = [_rarity(o, touched, len(others) - 1, own_share=1) for o in others]
    value = (1 + sum(r >= own for r in rarities)) / (len(others) + 1)
    is_present = value <= UNUSUAL_P
    confidence = 1 - value if is_present else value
    return Finding("unusual_path", is_present, confidence, value, UNUSUAL_P, "p-value", method)


def cells_of(points_m: Array) -> dict[Cell, int]:
    """Samples by half-metre cell."""
    cells: dict[Cell, int] = {}
    for x, y in np.floor(points_m / CELL_M).astype(int).tolist():
        cells[x, y] = cells.get((x, y), 0) + 1
    return cells


def predict(track: Track, bounds_m: tuple[float, float, float, float]) -> list[Predicted]:
    """Constant velocity fitted to the last FIT_S seconds, kept within the map.

    The standard deviation grows as that of a walker with white acceleration of density
    ACCELERATION_MPS15, beside the fit's own. Empty for fewer than three positions.
    """
    recent = track.times_s >= track.times_s[-1] - FIT_S if len(track) else np.zeros(0, dtype=bool)
    if recent.sum() < 3:
        return []
    times = track.times_s[recent] - track.times_s[-1]
    design = np.column_stack([np.ones(len(times)), times])
    fit, *_ = np.linalg.lstsq(design, track.points_m[recent], rcond=None)
    rest = track.points_m[recent] - design @ fit
    noise = float((rest**2).sum() / (2 * len(times) - 4)) if len(times) > 2 else 0.0
    covariance = np.linalg.inv(design.T @ design) * max(noise, 0.05**2)
    return [_ahead(ahead, fit, covariance, bounds_m) for ahead in AHEAD_S]


def _ahead(
    seconds: float, fit: Array, covariance: Array, bounds_m: tuple[float, float, float, float]
) -> Predicted:
    row = np.array([1.0, seconds])
    x, y = np.clip(row @ fit, bounds_m[:2], bounds_m[2:]).tolist()
    variance = float(row @ covariance @ row) + ACCELERATION_MPS15**2 * seconds**3 / 3
    return Predicted(seconds, (x, y), float(np.sqrt(variance)))


def _rarity(
    cells: Mapping[Cell, int], touched: Mapping[Cell, int], ways: int, own_share: int
) -> float:
    total = sum(cells.values())
    return (
        sum(
            n * -float(np.log((touched.get(cell, own_share) - own_share + 1) / (ways + 2)))
            for cell, n in cells.items()
        )
        / total
    )


def _longest_within(track: Track, radius_m: float) -> tuple[float, float]:
    """Longest stretch without gaps whose positions stay within the radius of their mean, and the
    mean distance from it. Two pointers: the window gives up its oldest positions until it fits.
    """
    best, best_radius, first = 0.0, 0.0, 0
    for last in range(len(track)):
        if last and track.times_s[last] - track.times_s[last - 1] > GAP_S:
            first = last
        while True:
            window = track.points_m[first : last + 1]
            away = np.hypot(*(window - window.mean(axis=0)).T)
            if away.max() <= radius_m or first == last:
                break
            first += 1
        seconds = float(track.times_s[last] - track.times_s[first])
        if seconds > best:
            best, best_radius = seconds, float(away.mean())
    return best, best_radius
