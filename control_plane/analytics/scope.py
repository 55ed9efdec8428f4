"""What a question is about: an environment, a stretch of media time, and the tasks that count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from control_plane.analytics.spans import Coverage, Extent, Range, Span, choose_spans
from homography.environment import Environment
from plugins.errors import InvalidTimeRangeError

MAX_RANGE = timedelta(days=400)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

EXTENTS = """
select m.task_id::text, t.created_at, count(distinct m.camera_id) as cameras,
  min(m.first_at) as first_at, max(m.last_at) as last_at
from processed_minutes m join tasks t using (task_id)
where m.environment_id = $1 and ($2::timestamptz is null or m.minute > $2 - interval '1 minute')
  and ($3::timestamptz is null or m.minute < $3) and ($4::uuid is null or task_id = $4)
group by 1, 2"""
SETS = """
select m.task_id::text, m.minute, max(m.sets) as sets, min(m.first_at) as first_at,
  max(m.last_at) as last_at
from processed_minutes m
join unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) s(task_id, start_at, end_at)
  on m.task_id = s.task_id and m.minute >= s.start_at and m.minute < s.end_at
group by 1, 2"""
ROLLED = """
select task_id::text, min(last_at) as last_at, count(last_at) as parts from rollup_progress
where task_id = any($1::uuid[]) group by 1"""


@dataclass(frozen=True, slots=True)
class Scope:
    """``range`` is what is answered for: what was asked, or else all that is stored; None where
    nothing is. ``staleness_s`` is how far the rollups are behind the stored sets, in media time.
    """

    environment: Environment
    range: Range | None
    spans: tuple[Span, ...]
    coverage: Coverage
    staleness_s: float | None

    def columns(self) -> tuple[list[str], list[datetime], list[datetime]]:
        """The spans as three arrays for unnest."""
        return _columns(self.spans)

    def minutes(self) -> tuple[list[str], list[datetime], list[datetime]]:
        """The same, widened to whole minutes, of which each belongs to one span."""
        return _columns(whole_minutes(self.spans))


def checked_range(start: datetime | None, end: datetime | None) -> tuple[datetime | None, ...]:
    """Both as UTC; InvalidTimeRangeError for a time without zone, out of reach, or reversed."""
    for name, time in (("start_time", start), ("end_time", end)):
        if time is None:
            continue
        if time.tzinfo is None:
            raise InvalidTimeRangeError(f"{name} has no time zone: add Z or an offset")
        if not EARLIEST <= time <= LATEST:
            raise InvalidTimeRangeError(f"{name} must lie between {EARLIEST:%Y} and {LATEST:%Y}")
    if start is not None and end is not None:
        if start >= end:
            raise InvalidTimeRangeError(
                f"start_time {start.isoformat()} is not before end_time {end.isoformat()}: swap "
                "them"
            )
        if end - start > MAX_RANGE:
            raise InvalidTimeRangeError(
                f"the range is longer than {MAX_RANGE.days} days: ask for less at a time"
            )
    return tuple(None if t is None else t.astimezone(UTC) for t in (start, end))


async def open_scope(
    connection: Any,
    environment: Environment,
    start: datetime | None = None,
    end: datetime | None = None,
    task_id: str | None = None,
) -> Scope:
    """Looks up what is stored; InvalidTimeRangeError as checked_range."""
    first, last = checked_range(start, end)
    rows = await connection.fetch(EXTENTS, environment.environment_id, first, last, task_id)
    period = timedelta(seconds=1 / environment.rate_hz)
    extents = [
        Extent(r["task_id"], r["created_at"], r["cameras"], r["first_at"], r["last_at"] + period)
        for r in rows
    ]
    answered = _answered(extents, first, last)
    spans = choose_spans(extents, answered)
    if answered is None or not spans:
        return Scope(environment, answered, (), Coverage(False, 0.0, None, None, []), None)
    minutes = await connection.fetch(SETS, *_columns(whole_minutes(spans)))
    coverage = _coverage(spans, answered, minutes, environment.rate_hz)
    stale_s = await _staleness(connection, spans, extents)
    return Scope(environment, answered, tuple(spans), coverage, stale_s)


def whole_minutes(spans: Sequence[Span]) -> list[Span]:
    """Spans widened to whole minutes; a minute that two share is the earlier one's."""
    widened: list[Span] = []
    for span in spans:
        start = span.start.replace(second=0, microsecond=0)
        end = (span.end - timedelta(microseconds=1)).replace(second=0, microsecond=0) + MINUTE
        start = max(start, widened[-1].end) if widened else start
        if start < end:
            widened.append(Span(span.task_id, start, end))
    return widened


def _answered(
    extents: Sequence[Extent], first: datetime | None, last: datetime | None
) -> Range | None:
    start = first or min((e.start for e in extents), default=None)
    end = last or max((e.end for e in extents), default=None)
    return Range(start, end) if start is not None and end is not None and start < end else None


def _coverage(
    spans: Sequence[Span], answered: Range, minutes: Sequence[Any], rate_hz: float
) -> Coverage:
    stored_s = sum(_seconds(row, spans, rate_hz) for row in minutes)
    return Coverage(
        True,
        round(min(1.0, stored_s / answered.seconds), 4),
        spans[0].start,
        spans[-1].end - timedelta(seconds=1 / rate_hz),
        sorted({span.task_id for span in spans}),
    )


def _seconds(row: Any, spans: Sequence[Span], rate_hz: float) -> float:
    """What of a minute's sets lies within the task's spans, in seconds at the rate."""
    first, last = row["first_at"], row["last_at"] + timedelta(seconds=1 / rate_hz)
    whole = (last - first).total_seconds()
    inside = sum(
        max(0.0, (min(s.end, last) - max(s.start, first)).total_seconds())
        for s in spans
        if s.task_id == row["task_id"]
    )
    return float(row["sets"] / rate_hz * min(1.0, inside / whole))


async def _staleness(connection: Any, spans: Sequence[Span], extents: Sequence[Extent]) -> float:
    tasks = {span.task_id for span in spans}
    rows = await connection.fetch(ROLLED, sorted(tasks))
    rolled = {r["task_id"]: r["last_at"] for r in rows if r["parts"] == 2}
    behind = [
        (e.end - max(e.start, rolled.get(e.task_id, e.start))).total_seconds()
        for e in extents
        if e.task_id in tasks
    ]
    # The last set's own period is not yet a lag.
    return float(round(max(0.0, max(behind) - 0.2), 1))


def _columns(spans: Sequence[Span]) -> tuple[list[str], list[datetime], list[datetime]]:
    return [s.task_id for s in spans], [s.start for s in spans], [s.end for s in spans]
