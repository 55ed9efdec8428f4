"""Looks at this machine and its services for ``spoton doctor``. Nothing here raises or judges."""

import asyncio
import json
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from control_plane.health.diagnoses import Gpu, Plan
from control_plane.health.probes import Component, default_probes, run_probes
from control_plane.settings import Settings
from control_plane.store import Store
from homography.environment import Catalogue
from plugins.errors import SpotOnError
from plugins.inference.detector import Detector
from plugins.inference.embedder import Embedder
from plugins.inference.model_import import serving_version
from plugins.inference.tensorrt_build import PLAN_FILE, PLAN_RECORD
from plugins.inference.triton_client import Triton

QUERY = "name,driver_version,compute_cap,memory.total,memory.free"
ANSWER_S = 5.0


def read_gpu() -> Gpu | None:
    """The first GPU as nvidia-smi sees it; None without."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=ANSWER_S, check=True)
        return parse_gpu(answer.stdout.decode())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def parse_gpu(text: str) -> Gpu:
    """The first line of nvidia-smi's CSV. ValueError for anything else."""
    name, driver, capability, total, free = (p.strip() for p in text.splitlines()[0].split(","))
    return Gpu(name, driver, capability, int(total), int(free))


def read_plans(repository: Path) -> list[Plan]:
    """Every ``model.plan`` and what ``model.plan.json`` beside it says: keys gpu and tensorrt."""
    return [_plan(path) for path in sorted(repository.glob(f"*/*/{PLAN_FILE}"))]


def lacking_plans(repository: Path) -> list[str]:
    """Versions that serve and have no plan, as "model version N"."""
    serving = [serving_version(config.parent) for config in repository.glob("*/config.pbtxt")]
    return sorted(
        f"{version.parent.name} version {version.name}"
        for version in serving
        if version is not None and not (version / PLAN_FILE).is_file()
    )


def _plan(path: Path) -> Plan:
    record: dict[str, str] = {}
    with suppress(OSError, ValueError):
        record = json.loads(path.with_name(PLAN_RECORD).read_text("utf-8"))
    model, version = path.parent.parent.name, path.parent.name
    return Plan(model, version, str(record.get("gpu", "")), str(record.get("tensorrt", "")))


def read_tensorrt() -> str:
    """The version of TensorRT in this environment, "" without."""
    command = ["dpkg-query", "-W", "-f=${Version}", "libnvinfer10"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ".".join(answer.stdout.decode().split("-")[0].split(".")[:3])


def free_bytes(folder: Path) -> int:
    """On the file system of a folder that may not be there yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def shared_memory_bytes() -> int:
    """Size of /dev/shm; 0 without."""
    try:
        return shutil.disk_usage("/dev/shm").total  # noqa: S108  # where shared memory lives
    except OSError:
        return 0


def read_components(
    settings: Settings, catalogue: Catalogue
) -> tuple[dict[str, Component], dict[str, float]]:
    """What ``/health`` would say, workers aside, and the clocks' differences in seconds."""
    return asyncio.run(_read_components(settings, catalogue))


async def _read_components(
    settings: Settings, catalogue: Catalogue
) -> tuple[dict[str, Component], dict[str, float]]:
    store = Store(settings.database_url or "")
    redis = Redis.from_url(
        settings.redis_url or "redis://127.0.0.1:1",
        socket_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 1),  # the default waits long for a Redis that is away
    )
    try:
        probes = default_probes(settings, catalogue, store, redis)
        del probes["pipeline_workers"]
        return await run_probes(probes), await _clocks(settings, redis)
    finally:
        await store.close()
        await redis.aclose()


async def _clocks(settings: Settings, redis: "Redis") -> dict[str, float]:
    """Seconds this machine is behind each service."""
    skew = {}
    with suppress(RedisError, OSError):
        seconds, micros = await redis.time()
        skew["Redis"] = seconds + micros / 1e6 - time.time()
    with suppress(OSError, asyncpg.PostgresError, TimeoutError):
        connection = await asyncpg.connect(settings.database_url, timeout=ANSWER_S)
        try:
            now = await connection.fetchval("select extract(epoch from clock_timestamp())")
            skew["PostgreSQL"] = float(now) - time.time()
        finally:
            await connection.close()
    return skew


def contract_problem(triton_url: str) -> str | None:
    """Why the served models cannot be used, or None: asks each for one answer."""
    triton = Triton(triton_url, deadline_s=ANSWER_S)
    try:
        size = Detector(triton).input_size_hw
        dimension = Embedder(triton).dimension
    except SpotOnError as error:
        return str(error)
    finally:
        triton.close()
    return None if min(*size, dimension) > 0 else "a model has an empty input or output"
