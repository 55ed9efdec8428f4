"""Which task speaks for which stretch of media time.

The same recordings may be played by many tasks, each with ids of its own; counting them all would
multiply people. For every moment one task counts: the one with the most cameras there, and of
those the newest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec


@dataclass(frozen=True, slots=True)
class Extent:
    """A task's stored stretch of media time; ``end`` is after its last set."""

    task_id: str
    created_at: datetime
    cameras: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` to before ``end`` this task counts."""

    task_id: str
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


class Range(msgspec.Struct, frozen=True):
    """A stretch of media time, its end excluded."""

    start_time: datetime
    end_time: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_time - self.start_time).total_seconds()


class Coverage(msgspec.Struct, frozen=True):
    """How much of the asked range the answer rests on.

    ``share`` (0 to 1) is synchronised sets stored over sets that the range has at the environment's
    rate; 0 with ``has_data`` false where nothing is stored. ``first`` and ``last`` are the stored
    sets' media times; ``tasks`` those that were counted.
    """

    has_data: bool
    share: float
    first: datetime | None
    last: datetime | None
    tasks: list[str]


def choose_spans(extents: Sequence[Extent], wanted: Range | None) -> list[Span]:
    """Disjoint spans in order, cut to ``wanted``: at each moment the task with most cameras, of
    those the newest.
    """
    ranked = sorted(extents, key=lambda e: (-e.cameras, -e.created_at.timestamp(), e.task_id))
    spans: list[Span] = []
    for extent in ranked:
        start, end = extent.start, extent.end
        if wanted is not None:
            start, end = max(start, wanted.start_time), min(end, wanted.end_time)
        if start < end:
            spans = sorted([*spans, *_uncovered(extent.task_id, start, end, spans)], key=_start)
    return spans


def _uncovered(task_id: str, start: datetime, end: datetime, taken: Sequence[Span]) -> list[Span]:
    free = []
    for span in taken:
        if span.end <= start or span.start >= end:
            continue
        if span.start > start:
            free.append(Span(task_id, start, span.start))
        start = max(start, span.end)
    return [*free, Span(task_id, start, end)] if start < end else free


def _start(span: Span) -> datetime:
    return span.start
