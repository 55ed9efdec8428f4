"""``spoton bench``: plays footage in 1 to N tasks at once and measures what the machine carries."""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import msgspec
from rich.console import Console
from rich.table import Table

from control_plane.catalogue import known_environment
from control_plane.commands.run import speed
from control_plane.embedded import die_with_parent, running_services
from control_plane.health.bench_report import (
    LATENCY,
    GpuSample,
    Row,
    Use,
    parse_gpu_sample,
    row_of,
    task_limit,
    use_of,
)
from control_plane.health.logs import configure_logging
from control_plane.health.machine_facts import read_gpu
from control_plane.health.profile import chosen_profile
from control_plane.settings import Settings, as_environment
from control_plane.terminal import STAGES, console, print_json
from homography.environment import load_environments
from plugins.errors import SpotOnError

GENERATED = "demo"
SAMPLE_S = 1.0
GPU_QUERY = "utilization.gpu,utilization.decoder,memory.used"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is played, how often at once, and the limit."""
    parser.add_argument(
        "--environment", "-e", help="its recordings are played; default: a generated scene"
    )
    parser.add_argument("--tasks", type=task_numbers, default=(1,), help="N or 1..N (default 1)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="length of the generated scene (default 20)"
    )
    parser.add_argument(
        "--speed", type=speed, default=1.0, help="factor of real time, or max (default 1)"
    )
    parser.add_argument(
        "--limit-ms", type=float, default=100.0, help="p95 a task may take per set (default 100)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")


def task_numbers(text: str) -> tuple[int, ...]:
    """``3`` is three tasks; ``1..3`` is one, then two, then three."""
    first, dots, last = text.partition("..")
    if not first.isdigit() or (dots and not last.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is neither N nor 1..N")
    numbers = tuple(range(int(first), int(last or first) + 1))
    if not numbers or numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} names no number of tasks from 1 up")
    return numbers


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Measures and prints; 1 when not even the smallest number of tasks is carried."""
    configure_logging("error", settings.log_format)
    profile = chosen_profile(settings)
    catalogue = load_environments(settings.environment_folders())
    known_environment(catalogue, args.environment or GENERATED)
    if args.environment is None:
        settings = _with_generated_scene(settings, args.seconds)
    with running_services(settings) as complete:
        rows = [_measure(number, args, complete) for number in args.tasks]
    if args.json:
        print_json(_report(rows, args, profile.name))
    else:
        _print(rows, args, profile.name)
    return 0 if rows[0].is_carried else 1


def _with_generated_scene(settings: Settings, seconds: float) -> Settings:
    """Renders the demo's scene, or finds it; as a command, since that is another package."""
    folder = settings.data_dir.resolve() / "bench" / f"{seconds:g}s"
    arguments = ["--environment", GENERATED, "--seconds", f"{seconds:g}", "--out", str(folder)]
    command = [sys.executable, "-m", "control_plane", "simulate", *arguments]
    if subprocess.run(command, env=os.environ | as_environment(settings), check=False).returncode:
        raise SpotOnError("the scene to measure with could not be rendered; give --environment")
    return msgspec.structs.replace(settings, object_store_url=folder.as_uri())


def _measure(number: int, args: argparse.Namespace, settings: Settings) -> Row:
    with console.status(f"{number} at once"), ExitStack() as stack:
        use = stack.enter_context(UseMeter())
        children = [stack.enter_context(_task(args, settings)) for _ in range(number)]
        summaries = [_summary(child) for child in children]
        return row_of(summaries, use.read(), args.limit_ms)


def _task(args: argparse.Namespace, settings: Settings) -> "subprocess.Popen[bytes]":
    environment = args.environment or GENERATED
    pace = "max" if args.speed is None else f"{args.speed:g}"
    options = ["--environment", environment, "--speed", pace, "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "control_plane", "run", *options],
        env=os.environ | as_environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # prctl only, no locks are taken
    )


def _summary(child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """The JSON of its last line. SpotOnError with its own words where it gave none."""
    output, errors = child.communicate()
    lines = output.decode().splitlines()
    if not lines:
        said = errors.decode().strip().splitlines() or [f"status {child.returncode}"]
        raise SpotOnError(f"a measured task ended early: {said[-1].removeprefix('spoton: ')}")
    summary: dict[str, Any] = json.loads(lines[-1])
    if summary["status"] == "FAILED":
        raise SpotOnError(f"a measured task failed: {summary['error']}")
    return summary


class UseMeter:
    """Mean use of the processor and, where there is one, of the GPU while it is open."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._gpu: list[GpuSample] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._before = _processor_times()
        if read_gpu() is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def read(self) -> Use:
        """Since it was opened."""
        busy, total = (b - a for a, b in zip(self._before, _processor_times(), strict=True))
        return use_of(round(busy / total, 3) if total else 0.0, self._gpu)

    def _sample(self) -> None:
        command = ["nvidia-smi", f"--query-gpu={GPU_QUERY}", "--format=csv,noheader,nounits"]
        while not self._ended.wait(SAMPLE_S):
            with suppress(OSError, subprocess.SubprocessError, ValueError):
                answer = subprocess.run(command, capture_output=True, timeout=5, check=True)
                self._gpu.append(parse_gpu_sample(answer.stdout.decode()))


def _processor_times() -> tuple[int, int]:
    """Busy and all clock ticks of all processors since boot."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def _report(rows: Sequence[Row], args: argparse.Namespace, profile: str) -> dict[str, object]:
    gpu = read_gpu()
    return {
        "profile": profile,
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "gpu": gpu},
        "environment": args.environment or GENERATED,
        "speed": args.speed,
        "limit_ms": args.limit_ms,
        "rows": rows,
        "tasks_carried": task_limit(rows),
    }


def _print(rows: Sequence[Row], args: argparse.Namespace, profile: str) -> None:
    out = Console()
    title = (
        f"{profile} profile, {os.cpu_count()} processors, p95 of a set within {args.limit_ms:g} ms"
    )
    columns = "tasks, sets/s, pictures/s, dropped, p95 ms, CPU, GPU, NVDEC, carried"
    table = Table(*columns.split(", "), title=title)
    for row in rows:
        latency = row.stage_ms.get(LATENCY, {}).get("p95", float("nan"))
        table.add_row(
            str(row.tasks),
            f"{row.sets_per_s:.1f}",
            f"{row.pictures_per_s:.0f}",
            str(row.dropped),
            f"{latency:.0f}",
            f"{row.use.cpu:.0%}",
            _percent(row.use.gpu),
            _percent(row.use.decoder),
            "yes" if row.is_carried else "no",
        )
    out.print(table)
    out.print(_stages(rows))
    out.print(f"carried at once: {task_limit(rows)} tasks")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _stages(rows: Sequence[Row]) -> Table:
    table = Table("stage, p50 / p95 / p99 ms", *(f"{row.tasks} at once" for row in rows))
    for stage, name in STAGES.items():
        if any(stage in row.stage_ms for row in rows):
            times = [row.stage_ms.get(stage, {}).values() for row in rows]
            table.add_row(name, *(" / ".join(f"{ms:.1f}" for ms in one) for one in times))
    return table
