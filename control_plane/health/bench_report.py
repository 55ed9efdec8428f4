"""What ``spoton bench`` makes of the tasks' own figures. Pure."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import msgspec

LATENCY = "arrival_to_publish"


class Use(msgspec.Struct, frozen=True):
    """Of the machine while the tasks ran, 0 to 1; GPU figures are None without one, the decoders'
    where the GPU does not tell it.
    """

    cpu: float
    gpu: float | None = None
    gpu_memory_mib: int | None = None
    decoder: float | None = None


class GpuSample(msgspec.Struct, frozen=True):
    """One look at the GPU: uses in percent; memory held in MiB."""

    percent: float
    decoder_percent: float | None
    memory_mib: int


def parse_gpu_sample(text: str) -> GpuSample:
    """The first line of nvidia-smi's "GPU's use, decoders' use, memory". ValueError for others; a
    decoder's use that it does not know ("[N/A]") is None.
    """
    percent, decoder, memory = (part.strip() for part in text.partition("\n")[0].split(","))
    return GpuSample(float(percent), None if "N/A" in decoder else float(decoder), int(memory))


def use_of(cpu: float, samples: Sequence[GpuSample]) -> Use:
    """Mean uses, and the most memory."""
    if not samples:
        return Use(cpu)
    decoder = [s.decoder_percent for s in samples if s.decoder_percent is not None]
    return Use(
        cpu,
        round(mean(s.percent for s in samples) / 100, 3),
        max(s.memory_mib for s in samples),
        round(mean(decoder) / 100, 3) if decoder else None,
    )


class Row(msgspec.Struct, frozen=True):
    """So many tasks at once. Rates are of all together; ``stage_ms`` is the worst task's p95 (and
    p50, p99) of each stage; ``is_carried`` says whether this machine keeps up.
    """

    tasks: int
    sets_per_s: float
    pictures_per_s: float
    dropped: int
    stage_ms: dict[str, dict[str, float]]
    use: Use
    is_carried: bool


def row_of(summaries: Sequence[Mapping[str, Any]], use: Use, limit_ms: float) -> Row:
    """From the summaries that ``spoton run --json`` printed. Carried: every task completed, nothing
    was dropped, and the 95th percentile from a set's arrival to its publishing is within the limit.
    """
    stages = _worst([s["stage_ms"] for s in summaries])
    dropped = sum(s["dropped"] for s in summaries)
    is_complete = all(s["status"] == "COMPLETED" for s in summaries)
    p95 = stages.get(LATENCY, {}).get("p95", float("inf"))
    return Row(
        tasks=len(summaries),
        sets_per_s=round(sum(s["sets_per_s"] for s in summaries), 2),
        pictures_per_s=round(sum(map(_pictures_per_s, summaries)), 1),
        dropped=dropped,
        stage_ms=stages,
        use=use,
        is_carried=is_complete and dropped == 0 and p95 <= limit_ms,
    )


def task_limit(rows: Sequence[Row]) -> int:
    """The most tasks at once that were carried, all smaller numbers too; 0 if not even one."""
    limit = 0
    for row in sorted(rows, key=lambda row: row.tasks):
        if not row.is_carried:
            break
        limit = row.tasks
    return limit


def _pictures_per_s(summary: Mapping[str, Any]) -> float:
    """Decoded pictures, which are more than the sets hold where a camera is faster than they."""
    pictures = sum(camera["frames"] for camera in summary["cameras"].values())
    shown = summary["sets"] + summary["dropped"]
    return float(summary["sets_per_s"] * pictures / shown) if shown else 0.0


def _worst(stages: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    names = dict.fromkeys(name for one in stages for name in one)
    return {
        name: {p: max(one[name][p] for one in stages if name in one) for p in ("p50", "p95", "p99")}
        for name in names
    }
