"""Were two people who met exchanged? Both stories are followed until the boxes tell.

Whenever it is not much less likely that two people's boxes belong the other way round, that story
is kept beside the accepted one: each person's state goes on with the other's boxes, and every set
adds the difference of the two stories' log-likelihoods (places, speeds, heights and widths count).
When the other story has become clearly likelier, the two are exchanged, back to when it began. This
is a multiple-hypothesis tracker (Reid 1979) kept small: per pair, the best other story alone, as
in the Viterbi algorithm.
"""

from dataclasses import dataclass

import numpy as np

from plugins.tracking import kalman
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, pairs_within, stacked
from plugins.tracking.sight import EDGES
from plugins.tracking.trajectories import predict

_HOPELESS = -8.0
_MOST_LIKELY = 8.0


@dataclass(slots=True)
class Story:
    """Two people, ``pair``, exchanged since ``since_ns``: their states (2, 6) and (2, 6, 6) then,
    and the log-odds that it was so: by boxes, and ``look_odds`` by what both looked like since.
    """

    pair: tuple[int, int]
    since_ns: int
    mean: FloatArray
    cov: FloatArray
    log_odds: float
    look_odds: float = 0.0


def follow(
    stories: dict[tuple[int, int], Story],
    active: list[Person],
    information: FloatArray,
    weighted: FloatArray,
    alike: FloatArray,
    *,
    time_ns: int,
    dt_s: float,
    parameters: TrackingParameters,
) -> dict[tuple[int, int], Story]:
    """Stories after a set. ``active`` (N) are people before it, ``information`` (N, 4, 4) and
    ``weighted`` (N, 4) what all boxes given to each of them say; ``alike`` (N, N) the
    log-likelihood ratio that what was seen of one now looks like another.
    """
    mean, cov = stacked(active)
    row_of = {p.number: row for row, p in enumerate(active)}
    old = [s for s in stories.values() if s.pair[0] in row_of and s.pair[1] in row_of]
    near = _near(active, mean, parameters.swap_distance_m)
    rows = np.array([[row_of[n] for n in s.pair] for s in old] + near, np.intp).reshape(-1, 2)
    if not len(rows):
        return {}
    begin_mean, begin_cov = mean[rows], cov[rows]
    if old:
        moved = predict(
            np.concatenate([s.mean for s in old]),
            np.concatenate([s.cov for s in old]),
            dt_s,
            parameters,
        )
        begin_mean[: len(old)] = moved[0].reshape(-1, 2, 6)
        begin_cov[: len(old)] = moved[1].reshape(-1, 2, 6, 6)
    told = kalman.log_evidence(mean, cov, information, weighted)[rows].sum(axis=1)
    other = information[rows[:, ::-1]], weighted[rows[:, ::-1]]
    other_told = kalman.log_evidence(begin_mean, begin_cov, *other).sum(axis=1)
    after = kalman.fuse(
        begin_mean.reshape(-1, 6),
        begin_cov.reshape(-1, 6, 6),
        other[0].reshape(-1, EDGES, EDGES),
        other[1].reshape(-1, EDGES),
    )
    odds = np.array([s.log_odds for s in old] + [-parameters.swap_cost] * len(near))
    odds = np.minimum(odds + other_told - told, _MOST_LIKELY)
    looks = np.array([s.look_odds for s in old] + [0.0] * len(near))
    a, b = rows.T
    looks = np.clip(
        looks + alike[a, b] + alike[b, a] - alike[a, a] - alike[b, b], _HOPELESS, _MOST_LIKELY
    )
    since = [s.since_ns for s in old] + [time_ns] * len(near)
    found: dict[tuple[int, int], Story] = {}
    for i in np.flatnonzero(odds + looks > _HOPELESS).tolist():
        pair = active[rows[i, 0]].number, active[rows[i, 1]].number
        if pair not in found or odds[i] + looks[i] > found[pair].log_odds + found[pair].look_odds:
            states = after[0].reshape(-1, 2, 6)[i], after[1].reshape(-1, 2, 6, 6)[i]
            found[pair] = Story(pair, since[i], *states, float(odds[i]), float(looks[i]))
    return found


def _near(active: list[Person], mean: FloatArray, within_m: float) -> list[list[int]]:
    """Rows of pairs who could be taken for each other, the smaller number first."""
    a, b = pairs_within(mean, within_m)
    near = zip(a.tolist(), b.tolist(), strict=True)
    return [[i, j] if active[i].number < active[j].number else [j, i] for i, j in near]
