"""Who goes from which zone to which."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

MAX_BETWEEN_S = 300.0


class Movement(msgspec.Struct, frozen=True):
    """How many left one zone and were next seen in another, and how long they were between."""

    from_zone: str
    to_zone: str
    count: int
    mean_between_s: float


def movements(stays: Mapping[str, Sequence[tuple[str, float, float]]]) -> list[Movement]:
    """``stays``: for each person (zone, entered, left). A movement joins a stay to the next one in
    another zone that begins no more than MAX_BETWEEN_S after it; most frequent first. Zones that
    overlap count from the end of the first stay, at least 0 s.
    """
    between: dict[tuple[str, str], list[float]] = defaultdict(list)
    for own in stays.values():
        ordered = sorted(own, key=lambda stay: (stay[1], stay[0]))
        for before, after in pairwise(ordered):
            pause_s = max(0.0, after[1] - before[2])
            if before[0] != after[0] and pause_s <= MAX_BETWEEN_S:
                between[before[0], after[0]].append(pause_s)
    found = [Movement(a, b, len(s), sum(s) / len(s)) for (a, b), s in between.items()]
    return sorted(found, key=lambda m: (-m.count, m.from_zone, m.to_zone))
