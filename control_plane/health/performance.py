"""How fast it is: stage times, rates, drops and queues of the running tasks, and the machine."""

import asyncio
import shutil
from pathlib import Path

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller
from control_plane.errors import documented
from control_plane.services import Services
from control_plane.task_state import read_all_progress
from control_plane.tasks import EXAMPLE_ID
from plugins.errors import DatabaseUnavailableError
from plugins.messages import TaskProgress

GPU_QUERY = "--query-gpu=utilization.gpu,memory.used,memory.total"
MIB = 1024**2
Percentiles = dict[str, float]


class TaskPerformance(msgspec.Struct, frozen=True):
    """A running task: milliseconds by stage (``arrival_to_publish`` is the whole path in the
    worker), sets per second, sets dropped, sets waiting before each stage.
    """

    task_id: str
    environment_id: str
    stage_ms: dict[str, Percentiles]
    sets_per_s: float
    dropped: int
    queues: dict[str, int]


class Gpu(msgspec.Struct, frozen=True):
    """The busiest GPU: ``utilization`` 0..1, memory in MiB."""

    utilization: float
    memory_used_mib: float
    memory_total_mib: float


class Performance(msgspec.Struct, frozen=True):
    """``stage_ms`` has for each stage the slowest task's; ``sending_ms`` is from a worker's
    publishing to the send, by kind of stream, of this process. ``gpu`` is null where there is none.
    """

    tasks: list[TaskPerformance]
    stage_ms: dict[str, Percentiles]
    sending_ms: dict[str, Percentiles]
    sets_per_s: float
    dropped: int
    offered: int
    skipped: int
    memory_used_mib: float
    memory_usage: float
    gpu: Gpu | None


STAGES = {"detect": {"p50": 21.0, "p95": 30.5, "p99": 41.2}}
EXAMPLE = {
    "tasks": [
        {
            "task_id": EXAMPLE_ID,
            "environment_id": "campus",
            "stage_ms": STAGES,
            "sets_per_s": 10.0,
            "dropped": 0,
            "queues": {"detect": 0},
        }
    ],
    "stage_ms": STAGES,
    "sending_ms": {"tracking": {"p50": 1.1, "p95": 2.4, "p99": 4.0}},
    "sets_per_s": 10.0,
    "dropped": 0,
    "offered": 4200,
    "skipped": 12,
    "memory_used_mib": 212.4,
    "memory_usage": 0.31,
    "gpu": None,
}


@get(
    "/api/v1/system/performance",
    tags=["system"],
    opt={"role": "viewer"},
    responses=documented(200, Performance, EXAMPLE),
)
async def performance(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> Performance:
    """Percentiles of every stage, rates, drops, queues, memory and GPU, as of now."""
    return await read_performance(services, caller)


async def read_performance(services: Services, caller: Caller | None = None) -> Performance:
    """All tasks, or those the caller may see; without the database no task is known."""
    try:
        rows = await services.store.active_tasks()
    except DatabaseUnavailableError:
        rows = []
    seen = [row for row in rows if caller is None or caller.may_see(row.environment_id)]
    live = await read_all_progress(services.redis, [row.task_id for row in seen])
    states = [(row, live.get(row.task_id, row.progress)) for row in seen]
    offered, skipped = services.hub.delivery()
    used, share = memory_used()
    return Performance(
        tasks=[_task(row.task_id, row.environment_id, state) for row, state in states],
        stage_ms=slowest([state.stage_ms for _, state in states]),
        sending_ms=services.metrics.stages.sending.percentiles_ms(),
        sets_per_s=round(sum(state.sets_per_s for _, state in states), 2),
        dropped=sum(state.dropped for _, state in states),
        offered=offered,
        skipped=skipped,
        memory_used_mib=used,
        memory_usage=share,
        gpu=await read_gpu(),
    )


def slowest(stages: list[dict[str, Percentiles]]) -> dict[str, Percentiles]:
    """For each stage and percentile the largest of all tasks."""
    found: dict[str, Percentiles] = {}
    for stage_ms in stages:
        for stage, percentiles in stage_ms.items():
            before = found.setdefault(stage, {})
            for name, value in percentiles.items():
                before[name] = max(before.get(name, 0.0), value)
    return found


def memory_used() -> tuple[float, float]:
    """MiB that this process holds, and the share (0..1) of the machine's memory in use."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    kib = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    share = 1 - kib["MemAvailable"] / kib["MemTotal"]
    return round(pages * 4096 / MIB, 1), round(share, 4)


async def read_gpu() -> Gpu | None:
    """What nvidia-smi says of the busiest GPU; None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    process = await asyncio.create_subprocess_exec(
        program,
        GPU_QUERY,
        "--format=csv,noheader,nounits",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    return parse_gpu(output.decode()) if process.returncode == 0 else None


def parse_gpu(output: str) -> Gpu | None:
    """The busiest of nvidia-smi's lines "utilization, used, total"; figures that a GPU does not
    tell ("[N/A]") leave it out.
    """
    found = []
    for line in output.splitlines():
        try:
            utilization, used, total = (float(part) for part in line.split(","))
        except ValueError:
            continue
        found.append(Gpu(utilization / 100, used, total))
    return max(found, key=lambda gpu: gpu.utilization, default=None)


def _task(task_id: str, environment_id: str, state: TaskProgress) -> TaskPerformance:
    return TaskPerformance(
        task_id, environment_id, state.stage_ms, state.sets_per_s, state.dropped, state.queues
    )


HANDLERS: list[ControllerRouterHandler] = [performance]
