"""Stored rows as files, a window at a time: memory does not grow with the number of rows."""

import csv
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from control_plane.analytics.scope import Scope
from control_plane.analytics.spans import Span
from control_plane.exports.files import writing
from control_plane.exports.orders import TrackingDataOrder

FETCHED_ROWS = 5000
GROUP_ROWS = 50_000
# A frame lies within half a slot of its set, whose minute it is counted in.
SLACK = timedelta(seconds=1)
Row = Sequence[Any]
Progress = Callable[[float], None]
Write = Callable[[list[Row]], None]

TIME = pa.timestamp("us", tz="UTC")
DETECTIONS: Mapping[str, pa.DataType] = {
    "media_time": TIME,
    "environment_id": pa.string(),
    "task_id": pa.string(),
    "camera_id": pa.string(),
    "frame_index": pa.int64(),
    "track_id": pa.int32(),
    "global_id": pa.string(),
    "x1": pa.float32(),
    "y1": pa.float32(),
    "x2": pa.float32(),
    "y2": pa.float32(),
    "confidence": pa.float32(),
    "map_x": pa.float32(),
    "map_y": pa.float32(),
    "map_uncertainty_m": pa.float32(),
}
POSITIONS: Mapping[str, pa.DataType] = {
    "media_time": TIME,
    "environment_id": pa.string(),
    "task_id": pa.string(),
    "frame_index": pa.int64(),
    "global_id": pa.string(),
    "map_x": pa.float32(),
    "map_y": pa.float32(),
    "speed_mps": pa.float32(),
    "uncertainty_m": pa.float32(),
    "camera_ids": pa.list_(pa.string()),
}
MINUTES = """
select minute, min(first_frame) as first_frame, max(last_frame) as last_frame,
  array_agg(distinct camera_id) as cameras
from processed_minutes where task_id = $1 and minute < $3
  and minute > $2::timestamptz - interval '1 minute'
group by minute order by minute"""
IN_WINDOW = """task_id = $1 and frame_index >= $2 and frame_index < $3
  and media_time >= $4 and media_time < $5 and ($6::uuid is null or global_id = $6)"""
SELECT = {
    "detections": f"""
select media_time, environment_id, task_id::text, camera_id, frame_index, track_id, global_id::text,
  x1, y1, x2, y2, confidence, map_x, map_y, map_uncertainty_m
from tracking_events where camera_id = any($7::text[]) and {IN_WINDOW}
order by media_time, camera_id, track_id""",  # noqa: S608  # a constant
    "positions": f"""
select media_time, environment_id, task_id::text, frame_index, global_id::text, map_x, map_y,
  speed_mps, uncertainty_m, camera_ids
from trajectories where camera_ids && $7::text[] and {IN_WINDOW}
order by media_time, global_id""",  # noqa: S608  # idem
}
COLUMNS = {"detections": DETECTIONS, "positions": POSITIONS}
MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
ENDINGS = {"csv": "csv", "json": "jsonl", "parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class Window:
    """Sets ``first`` to before ``following`` of a task, and media times that hold their rows."""

    task_id: str
    first: int
    following: int
    start: datetime
    end: datetime
    cameras: Sequence[str]


async def write_tracking_data(
    connection: Any, scope: Scope, order: TrackingDataOrder, path: Path, report: Progress
) -> int:
    """Writes ``path`` in the order's format, in order of media time; returns the number of rows.

    The connection is in a transaction, so that all rows are of one moment. NotWrittenError for a
    full disk.
    """
    count = 0
    windows = [w for span in scope.spans for w in await _windows(connection, scope, span, order)]
    with opened(path, order) as write:
        for done, window in enumerate(windows):
            report(done / len(windows))
            async for rows in _rows(connection, window, order):
                write(rows)
                count += len(rows)
    return count


@contextmanager
def opened(path: Path, order: TrackingDataOrder) -> Iterator[Write]:
    """What takes rows and writes them."""
    columns = COLUMNS[order.rows]
    opening = {"csv": _csv, "json": _json_lines, "parquet": _parquet}[order.format]
    with ExitStack() as stack:
        with writing():
            write = stack.enter_context(opening(path, columns))

        def write_safely(rows: list[Row]) -> None:
            with writing():
                write(rows)

        yield write_safely
        with writing():
            stack.close()


@contextmanager
def _csv(path: Path, columns: Mapping[str, pa.DataType]) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        yield lambda rows: writer.writerows([_plain(value) for value in row] for row in rows)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return ";".join(value) if isinstance(value, list) else value


@contextmanager
def _json_lines(path: Path, columns: Mapping[str, pa.DataType]) -> Iterator[Write]:
    names, encoder = list(columns), msgspec.json.Encoder()
    with path.open("wb") as file:
        yield lambda rows: _put(
            file, encoder.encode_lines([dict(zip(names, r, strict=True)) for r in rows])
        )


def _put(file: Any, encoded: bytes) -> None:
    file.write(encoded)


@contextmanager
def _parquet(path: Path, columns: Mapping[str, pa.DataType]) -> Iterator[Write]:
    schema, waiting = pa.schema(list(columns.items())), list[pa.RecordBatch]()

    def flush() -> None:
        writer.write_table(pa.Table.from_batches(waiting, schema))
        waiting.clear()

    def write(rows: list[Row]) -> None:
        values = zip(zip(*rows, strict=True), schema.types, strict=True)
        arrays = [pa.array(column, kind) for column, kind in values]
        waiting.append(pa.record_batch(arrays, schema=schema))
        if sum(map(len, waiting)) >= GROUP_ROWS:
            flush()

    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield write
        if waiting:
            flush()


async def _windows(
    connection: Any, scope: Scope, span: Span, order: TrackingDataOrder
) -> list[Window]:
    """The span by minutes. Each set is in one window; at the ends of what is stored, frames a bit
    before or after their set's moment belong to it.
    """
    is_first, is_last = span is scope.spans[0], span is scope.spans[-1]
    low = span.start - SLACK if is_first and order.start_time is None else span.start
    high = span.end + SLACK if is_last and order.end_time is None else span.end
    minutes = await connection.fetch(MINUTES, span.task_id, span.start, span.end)
    starts = [m["first_frame"] for m in minutes]
    ends = [*starts[1:], minutes[-1]["last_frame"] + 1] if minutes else []
    return [
        Window(
            span.task_id,
            first,
            following,
            max(low, m["minute"] - SLACK),
            min(high, m["minute"] + timedelta(minutes=1) + SLACK),
            m["cameras"] if order.camera_id is None else [order.camera_id],
        )
        for m, first, following in zip(minutes, starts, ends, strict=True)
    ]


async def _rows(connection: Any, w: Window, order: TrackingDataOrder) -> AsyncIterator[list[Row]]:
    """The window's rows through a cursor of the server's, some at a time."""
    values = (w.task_id, w.first, w.following, w.start, w.end, order.global_id, w.cameras)
    cursor = await connection.cursor(SELECT[order.rows], *values)
    while rows := await cursor.fetch(FETCHED_ROWS):
        yield rows
