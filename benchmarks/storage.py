"""Storage: how fast rows go in, and how fast questions about a day are answered.

``python -m benchmarks.storage`` over the embedded PostgreSQL in a folder of its own:

a. Ingest: the worker's own writer (``plugins/history.py``: transaction, lease, checkpoint, persons,
   minutes) against a bare COPY of the same event and trajectory rows, in turns: with a commit for
   each batch as the writer has, and with one commit at the very end.
b. A day of one environment, made with SQL: three cameras that see four people at all times, ten
   sets a second, as many sets as give ``--events`` tracking events; then rolled up, then asked.
   Journeys are those of another person each time.
c. With ``--parts export``: every event of that day as CSV, JSON Lines and Parquet, by the command
   ``spoton export`` in a process of its own, and the most memory that process had.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.stored_day import DAY, EVENTS_PER_SET, make_day
from control_plane.analytics import answers, dashboard, people
from control_plane.analytics.scope import open_scope
from control_plane.embedded import running_services
from control_plane.health.logs import configure_logging
from control_plane.settings import Settings
from control_plane.storage.rollups import roll_up
from control_plane.store import Store
from control_plane.zones import all_polygons, zones_of
from homography.environment import load_environments
from plugins.history import EVENT_COLUMNS, TRAJECTORY_COLUMNS, Batch, History
from plugins.messages import TaskProgress, TaskRequest

console = Console()
SETS_PER_BATCH, CAMERAS, TRACKS = 20, 4, 10
PARTS = ("ingest", "day", "export")
FORMATS = ("csv", "json", "parquet")


def main() -> None:
    """Prints tables, and one JSON object on the last line with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000, help="of the day that is asked")
    parser.add_argument("--ingest", type=int, default=200_000, help="events of one turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of a")
    parser.add_argument("--asks", type=int, default=40, help="times each question is asked")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:2])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    configure_logging("error")
    with tempfile.TemporaryDirectory(prefix="spoton-bench-") as name:
        Path(name).chmod(0o755)
        settings = Settings(data_dir=Path(name))
        with running_services(settings, needed=("database_url",)) as complete:
            url = complete.database_url or ""
            asyncio.run(_opened(url))
            found: dict[str, Any] = {}
            if "ingest" in args.parts:
                found["ingest"] = _ingest(url, args)
                _print_ingest(found["ingest"])
            task_id, made_s = str(uuid.uuid4()), 0.0
            if {"day", "export"} & set(args.parts):
                made_s = asyncio.run(make_day(url, task_id, args.events // EVENTS_PER_SET))
            if "day" in args.parts:
                found["day"] = asyncio.run(_day(url, args)) | {"made_s": made_s}
                _print_day(found["day"])
            if "export" in args.parts:
                found["export"] = {each: _export(url, Path(name), each) for each in FORMATS}
                _print_export(found["export"])
    if args.json:
        print(json.dumps(found))


async def _opened(url: str) -> None:
    store = Store(url)
    await store.open()
    await store.close()


def _ingest(url: str, args: argparse.Namespace) -> dict[str, float]:
    rates: dict[str, list[float]] = {"history": [], "copy": [], "copy_at_once": []}
    for _ in range(args.rounds):
        task_id = str(uuid.uuid4())
        batches = _batches(task_id, args.ingest)
        events = sum(len(batch.events) for batch in batches)
        rates["copy"].append(events / asyncio.run(_bare_copy(url, batches)))
        at_once = asyncio.run(_bare_copy(url, batches, at_once=True))
        rates["copy_at_once"].append(events / at_once)
        rates["history"].append(events / _through_history(url, task_id, batches))
    median = {kind: statistics.median(values) for kind, values in rates.items()}
    ratios = {f"{kind}_ratio": median[kind] / median["history"] for kind in median}
    return {f"{kind}_events_per_s": value for kind, value in median.items()} | ratios


def _batches(task_id: str, events: int) -> list[Batch]:
    sets = events // (CAMERAS * TRACKS)
    return [
        _batch(task_id, first, min(first + SETS_PER_BATCH, sets))
        for first in range(0, sets, SETS_PER_BATCH)
    ]


def _batch(task_id: str, first: int, end: int) -> Batch:
    batch = Batch(end - 1, b"x" * 20_000)
    people = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"{task_id} {k}")) for k in range(TRACKS)]
    box, last = (1.0, 2.0, 3.0, 4.0), DAY
    for index in range(first, end):
        last = DAY + timedelta(milliseconds=100 * index)
        for k, person in enumerate(people):
            for c in range(CAMERAS):
                ids = (last, "campus", task_id, f"c{c}", index, k, person)
                batch.events.append((*ids, *box, 0.9, 1.0, 2.0, 0.2))
            key = (last, "campus", task_id, index, person)
            batch.trajectories.append((*key, 1.0, 2.0, 1.0, 0.2, ["c0", "c1"]))
    batch.persons += [(p, "campus", task_id, last, last, ["c0"], None, None) for p in people]
    minute = last.replace(second=0, microsecond=0)
    batch.minutes += [
        (task_id, f"c{c}", minute, "campus", end - first, end - first, first, end - 1, last, last)
        for c in range(CAMERAS)
    ]
    return batch


async def _bare_copy(url: str, batches: list[Batch], *, at_once: bool = False) -> float:
    """Seconds, with a commit for each batch or one for all; the rows are removed again, so that
    every kind finds the tables alike.
    """
    connection = await asyncpg.connect(url)
    began = time.perf_counter()
    async with connection.transaction() if at_once else contextlib.nullcontext():
        for batch in batches:
            async with connection.transaction():
                await _copy(connection, batch)
    seconds = time.perf_counter() - began
    await _clear(connection)
    await connection.close()
    return seconds


async def _copy(connection: Any, batch: Batch) -> None:
    for table, rows, columns in (
        ("tracking_events", batch.events, EVENT_COLUMNS),
        ("trajectories", batch.trajectories, TRAJECTORY_COLUMNS),
    ):
        await connection.copy_records_to_table(table, records=rows, columns=columns)


def _through_history(url: str, task_id: str, batches: list[Batch]) -> float:
    asyncio.run(_enlist(url, task_id))
    began = time.perf_counter()
    history = History(url, task_id, "bench", threading.Event())
    for batch in batches:
        history.add(batch)
    history.finish(TaskProgress(status="COMPLETED"))
    seconds = time.perf_counter() - began
    asyncio.run(_cleared(url))
    return seconds


async def _enlist(url: str, task_id: str) -> None:
    store = Store(url)
    await store.create_task(TaskRequest(task_id, "campus", []), owner="bench", lease_s=600)
    await store.close()


async def _cleared(url: str) -> None:
    connection = await asyncpg.connect(url)
    await _clear(connection)
    await connection.close()


async def _clear(connection: Any) -> None:
    await connection.execute(
        "truncate tracking_events, trajectories, persons, processed_minutes, tasks"
    )


async def _day(url: str, args: argparse.Namespace) -> dict[str, Any]:
    store = Store(url)
    environment = load_environments().environments["campus"]
    sets = args.events // EVENTS_PER_SET
    async with store.connection() as connection:
        polygons = await all_polygons(connection, [environment])
    began = time.perf_counter()
    steps = await roll_up(store, polygons)
    rolled_s = time.perf_counter() - began
    async with store.connection() as connection:
        await connection.execute("vacuum (analyze) cell_minutes", timeout=600)
        found = await _ask(connection, environment, args.asks)
        sizes = await connection.fetchrow(
            "select (select count(*) from cell_minutes), (select count(*) from visits)"
        )
    await store.close()
    return {
        "events": sets * EVENTS_PER_SET,
        "trajectories": sets * 4,
        "rolled_up_s": rolled_s,
        "steps": steps,
        "cell_rows": sizes[0],
        "visit_rows": sizes[1],
        "questions_ms": found,
    }


async def _ask(connection: Any, environment: Any, asks: int) -> dict[str, dict[str, float]]:
    zones = await zones_of(connection, environment)
    people_of_day = await connection.fetch(
        "select global_id::text as id from persons order by md5(global_id::text) limit $1", asks
    )
    others = itertools.cycle([row["id"] for row in people_of_day])
    day = (DAY, DAY + timedelta(days=1))

    async def scope() -> Any:
        return await open_scope(connection, environment, *day)

    async def journey() -> Any:
        found = await people.find_person(connection, next(others))
        return await people.journey(connection, environment, found)

    questions: dict[str, Callable[[], Awaitable[Any]]] = {
        "heat map": lambda: _with(scope, lambda s: answers.heatmap(connection, s)),
        "occupancy": lambda: _with(scope, lambda s: answers.occupancy(connection, s, zones)),
        "dashboard": lambda: _with(scope, lambda s: dashboard.dashboard(connection, s, zones)),
        "detections": lambda: _with(scope, lambda s: dashboard.detections(connection, s)),
        "paths": lambda: _with(scope, lambda s: answers.paths(connection, s)),
        "journey": journey,
    }
    return {name: await _timed(question, asks) for name, question in questions.items()}


async def _with(scope: Any, question: Callable[[Any], Awaitable[Any]]) -> Any:
    return await question(await scope())


async def _timed(question: Callable[[], Awaitable[Any]], asks: int) -> dict[str, float]:
    times = []
    for _ in range(asks):
        began = time.perf_counter()
        await question()
        times.append(1000 * (time.perf_counter() - began))
    p50, p95 = np.percentile(times, [50, 95]).tolist()
    return {"p50": round(p50, 1), "p95": round(p95, 1), "max": round(max(times), 1)}


def _export(url: str, folder: Path, file_format: str) -> dict[str, float]:
    """A whole day through ``spoton export``: rows, seconds, megabytes of file and of memory."""
    out = folder / f"day.{file_format}"
    command = [sys.executable, "-m", "control_plane", "export", "tracking-data", "campus"]
    command += ["--format", file_format, "--out", str(out), "--json"]
    settings = {"DATABASE_URL": url, "SPOTON_DATA_DIR": str(folder)}
    began = time.perf_counter()
    with subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.PIPE) as child:
        said = child.stdout.read() if child.stdout else b""
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the export ended with {child.returncode}")
    rows = json.loads(said.splitlines()[-1])["rows"]
    size = out.stat().st_size
    out.unlink()
    seconds = round(time.perf_counter() - began, 1)
    peak_mb = round(used.ru_maxrss / 1024, 1)
    return {"rows": rows, "seconds": seconds, "file_mb": round(size / 1e6, 1), "peak_mb": peak_mb}


def _print_export(found: dict[str, dict[str, float]]) -> None:
    table = Table("export", "rows", "seconds", "file MB", "peak memory MB")
    for name, figures in found.items():
        table.add_row(name, *(str(figure) for figure in figures.values()))
    console.print(table)


def _print_ingest(ingest: dict[str, float]) -> None:
    console.print(
        f"ingest: {ingest['history_events_per_s']:.0f} events/s; bare COPY "
        f"{ingest['copy_events_per_s']:.0f} ({ingest['copy_ratio']:.2f} times as fast), in one "
        f"transaction {ingest['copy_at_once_events_per_s']:.0f} "
        f"({ingest['copy_at_once_ratio']:.2f} times)"
    )


def _print_day(day: dict[str, Any]) -> None:
    console.print(
        f"a day of {day['events']} events and {day['trajectories']} positions: rolled up in "
        f"{day['rolled_up_s']:.0f} s ({day['cell_rows']} cells, {day['visit_rows']} visits)"
    )
    table = Table("question", "p50 ms", "p95 ms", "max ms")
    for name, times in day["questions_ms"].items():
        table.add_row(name, *(f"{times[k]:.1f}" for k in ("p50", "p95", "max")))
    console.print(table)


if __name__ == "__main__":
    main()
