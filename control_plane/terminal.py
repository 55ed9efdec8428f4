"""What a terminal shows: a progress bar while a task runs, a table at the end, JSON on request."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console, Group
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from plugins.messages import TaskProgress

console = Console(stderr=True)
STAGES = {
    "detect": "detect, 4 frames",
    "track": "associate",
    "embed": "embed crops",
    "match": "match and map",
    "encode": "JPEG, one frame",
    "publish": "publish",
    "arrival_to_publish": "arrival to publish",
}


@contextmanager
def counting_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that takes how many are done, and of how many; shows nothing before."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    shown = bar.add_task(title, total=None)

    def show(done: int, of: int) -> None:
        bar.start()
        bar.update(shown, completed=done, total=of)

    try:
        yield show
    finally:
        if bar.live.is_started:  # stopping it would print an empty line otherwise
            bar.stop()


@contextmanager
def task_progress_bar(title: str) -> Iterator[Callable[[TaskProgress], None]]:
    """Gives a function that takes every new state."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
    )
    with bar:
        shown = bar.add_task(title, total=1.0, detail="")

        def show(progress: TaskProgress) -> None:
            bar.update(
                shown,
                completed=progress.progress,
                description=f"{title} · {progress.status.lower()}",
                detail=progress.message
                or f"{progress.sets} sets, {progress.sets_per_s:.1f}/s, "
                f"{progress.persons} persons, {progress.dropped} dropped",
            )

        yield show


def closing_table(progress: TaskProgress) -> Group:
    """What a finished task achieved: totals, cameras, stage times."""
    totals = Table(
        "status", "sets", "dropped", "persons", "sets/s", title="Task", title_justify="left"
    )
    totals.add_row(
        progress.status,
        str(progress.sets),
        str(progress.dropped),
        str(progress.persons),
        f"{progress.sets_per_s:.1f}",
    )
    cameras = Table("camera", "frames", "missing", "corrupt", "problem")
    for camera_id, camera in progress.cameras.items():
        counts = (str(camera.frames), str(camera.missing), str(camera.corrupt))
        cameras.add_row(camera_id, *counts, camera.error or "")
    stages = Table("stage", "p50 ms", "p95 ms", "p99 ms")
    for stage, name in STAGES.items():
        if stage in progress.stage_ms:
            times = progress.stage_ms[stage]
            stages.add_row(name, *(f"{times[p]:.1f}" for p in ("p50", "p95", "p99")))
    parts: list[Table | str] = [totals, cameras, stages]
    return Group(*parts, *([f"[bold red]{progress.error}[/]"] if progress.error else []))


def print_json(value: object) -> None:
    """One JSON object on the last line of standard output."""
    print(msgspec.json.encode(value, enc_hook=os.fspath).decode(), flush=True)  # noqa: T201
