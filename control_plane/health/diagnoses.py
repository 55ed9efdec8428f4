"""What ``spoton doctor`` says of given facts. Pure: nothing here looks at the machine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from control_plane.health.probes import Component
from plugins.deepstream.driver import Decoder
from plugins.deepstream.failures import known_failure
from plugins.deepstream.presence import PYDS_CURES, Presence, Profile
from plugins.gst.elements import BINDINGS_CURE, BINDINGS_MISSING

Status = Literal["ok", "warn", "fail"]
MIB, GIB = 2**20, 2**30
LEAST_SHARED_MEMORY_BYTES = 256 * MIB
LEAST_DISK_BYTES, LITTLE_DISK_BYTES = GIB, 10 * GIB
# Rules of thumb. Of a task's, the CUDA context (527) and four decoders of 1080p (62 each) were
# measured on an H100; what DeepStream holds beside them, and Triton with both models, were not.
GPU_MIB_A_TASK, GPU_MIB_MODELS = 1100, 2000
MOST_SKEW_S = 2.0
LEAST_DRIVER = 570


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it is, and, where it is not well, what to do."""

    name: str
    status: Status
    message: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """As nvidia-smi says; memory in MiB."""

    name: str
    driver: str
    compute_capability: str
    memory_mib: int
    free_mib: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A TensorRT plan in the repository, and what it was built for; "" where nothing says so."""

    model: str
    version: str
    gpu: str
    tensorrt: str


COMPONENT_CURES = {
    "triton": "start Triton and set TRITON_URL, or unset it to start the embedded one",
    "detector_model": "`spoton models import FILE --as person_detector --layout …`",
    "reid_model": "`spoton models import FILE --as person_reid --layout …`",
    "homography": "`spoton environments check` says what is wrong in which file",
    "redis": "start Redis, or correct REDIS_URL",
    "database": "start PostgreSQL, or correct DATABASE_URL",
    "object_store": "correct SPOTON_OBJECT_STORE_URL, S3_ENDPOINT_URL and the AWS_* keys",
}


def of_profile(wanted: str, profile: Profile | None, refusal: str) -> Finding:
    """Which profile the worker gets, or why the wanted one cannot be had."""
    if profile is None:
        return Finding("profile", "fail", refusal, "mend that, or set SPOTON_PROFILE=auto")
    return Finding("profile", "ok", f"{profile.name}, wanted {wanted}: {profile.reason}")


def of_parts_not_needed(findings: Iterable[Finding]) -> list[Finding]:
    """What ``auto`` found of the GPU profile's parts before it chose the CPU's: no failure."""
    return [
        msgspec.structs.replace(f, status="warn") if f.status == "fail" else f for f in findings
    ]


def of_presence(presence: Presence) -> list[Finding]:
    """Driver, device, container, and what only the container brings: elements and pyds. Without any
    trace of a GPU nothing is said.
    """
    if not presence.driver and not presence.has_device:
        return []
    found = [judge(presence) for judge in (_driver, _device, _container)]
    if presence.deepstream:
        found.append(_elements(presence))
    if presence.deepstream or presence.pyds == "foreign":
        found.append(_pyds(presence))
    return found


def _pyds(presence: Presence) -> Finding:
    if presence.pyds == "deepstream":
        return Finding("pyds", "ok", "DeepStream's own")
    return Finding("pyds", "fail", presence.pyds, PYDS_CURES[presence.pyds])


def _driver(presence: Presence) -> Finding:
    numbers = [w for w in presence.driver.split() if w[:1].isdigit() and "." in w]
    if not presence.driver:
        return Finding(
            "driver", "warn", "its version cannot be read", "look at `nvidia-smi` on the host"
        )
    if numbers and int(numbers[0].partition(".")[0]) < LEAST_DRIVER:
        cure = f"install {LEAST_DRIVER} or newer: DeepStream 8.0 needs CUDA 12.9"
        return Finding("driver", "fail", f"{numbers[0]} is too old", cure)
    return Finding("driver", "ok", numbers[0] if numbers else presence.driver)


def _device(presence: Presence) -> Finding:
    if presence.has_device:
        return Finding("gpu_device", "ok", "visible")
    return Finding(
        "gpu_device", "fail", "the driver runs, but no GPU is visible", "start with --gpus all"
    )


def _container(presence: Presence) -> Finding:
    if presence.deepstream:
        status: Status = "ok" if "8.0" in presence.deepstream else "warn"
        cure = "" if status == "ok" else "build docker/worker.Dockerfile: it is written for 8.0"
        return Finding("deepstream", status, presence.deepstream, cure)
    return Finding(
        "deepstream", "fail", "not installed", "run the worker in docker/worker.Dockerfile's image"
    )


def _elements(presence: Presence) -> Finding:
    if not presence.missing_elements:
        return Finding("gstreamer_gpu", "ok", "all elements are there")
    if not presence.has_bindings:
        return Finding("gstreamer_gpu", "fail", BINDINGS_MISSING, BINDINGS_CURE)
    missing = ", ".join(presence.missing_elements)
    cure = f"delete ~/.cache/gstreamer-1.0, then `gst-inspect-1.0 {presence.missing_elements[0]}`"
    return Finding("gstreamer_gpu", "fail", f"missing: {missing}", cure)


def of_gpu(gpu: Gpu | None, *, is_needed: bool, tasks: int) -> list[Finding]:
    """Free memory for so many tasks and the two models."""
    if gpu is None:
        if not is_needed:
            return []
        return [Finding("gpu", "fail", "nvidia-smi gives no answer", "start with --gpus all")]
    wanted = GPU_MIB_MODELS + tasks * GPU_MIB_A_TASK
    amount = f"{gpu.free_mib} of {gpu.memory_mib} MiB free"
    message = f"{gpu.name}: {amount}, the GPU profile takes about {wanted}"
    if gpu.free_mib >= wanted or not is_needed:
        return [Finding("gpu", "ok", message)]
    cure = "lower SPOTON_TASKS_AT_ONCE, or end what `nvidia-smi` shows beside Triton"
    return [Finding("gpu", "warn", message, cure)]


def of_decoders(decoder: Decoder | None) -> list[Finding]:
    """Whether the GPU decodes what the cameras record; nothing is said where it was not asked."""
    return [] if decoder is None else [_decoder(decoder)]


def _decoder(decoder: Decoder) -> Finding:
    if decoder.missing_library:
        cure = "start the container with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
        return Finding("decoders", "fail", decoder.missing_library, cure)
    if decoder.refusal:
        return Finding("decoders", "fail", decoder.refusal, "look at `nvidia-smi -q` and `dmesg`")
    if not decoder.is_supported:
        cure = "use another GPU, or set SPOTON_PROFILE=cpu"
        return Finding("decoders", "fail", "this GPU decodes no H.264", cure)
    width, height = decoder.max_size
    message = f"H.264 on {decoder.engines} engines, up to {width}x{height}"
    return Finding("decoders", "ok", message)


def of_plans(plans: Sequence[Plan], gpu: Gpu | None, tensorrt: str) -> list[Finding]:
    """TensorRT plans fit one GPU model and one TensorRT version."""
    return [_plan(plan, gpu, tensorrt) for plan in plans]


def _plan(plan: Plan, gpu: Gpu | None, tensorrt: str) -> Finding:
    name, place = f"engine_{plan.model}", f"{plan.model} version {plan.version}"
    rebuild = "build it on this machine with `spoton models build`"
    if not plan.gpu:
        return Finding(name, "warn", f"{place}: nothing says which GPU it was built for", rebuild)
    if gpu is not None and plan.gpu != gpu.name:
        return Finding(name, "fail", f"{place} was built for {plan.gpu}, not {gpu.name}", rebuild)
    if tensorrt and plan.tensorrt != tensorrt:
        message = f"{place} was built by TensorRT {plan.tensorrt}, not {tensorrt}"
        return Finding(name, "fail", message, rebuild)
    return Finding(name, "ok", f"{place} was built for {plan.gpu}, TensorRT {plan.tensorrt}")


def of_lacking_plans(versions: Sequence[str]) -> list[Finding]:
    """Versions that serve on a GPU and have no plan, as "model version N"."""
    cure = "`spoton models build`; under compose, `docker compose logs engines` says why it failed"
    return [
        Finding(f"engine_{version.split()[0]}", "fail", f"{version} has no plan", cure)
        for version in versions
    ]


def of_components(components: Mapping[str, Component]) -> list[Finding]:
    """The services' and models' own probes, as ``/health`` has them."""
    levels: dict[str, Status] = {"ok": "ok", "degraded": "warn", "away": "fail"}
    return [
        Finding(
            name,
            levels[c.status],
            c.detail,
            "" if c.status == "ok" else COMPONENT_CURES.get(name, "see its log"),
        )
        for name, c in components.items()
    ]


def of_contract(problem: str | None) -> Finding:
    """Whether the served models keep the model contract."""
    if problem is None:
        return Finding("model_contract", "ok", "names, shapes and types are as agreed")
    return Finding("model_contract", "fail", problem, "`spoton models import` it, or roll back")


def of_cpu_decoder(*, has_bindings: bool, is_there: bool) -> Finding:
    """The software decoder: the CPU profile's, and what ``spoton simulate`` and export use."""
    if is_there:
        return Finding("gstreamer", "ok", "decodes H.264 on the CPU")
    if not has_bindings:
        return Finding("gstreamer", "fail", BINDINGS_MISSING, BINDINGS_CURE)
    return Finding(
        "gstreamer", "fail", "avdec_h264 is missing", "`sh docker/install-system-packages.sh`"
    )


def of_disk(folder: str, free_bytes: int) -> Finding:
    """Room for cached sub-videos and, embedded, the database."""
    message = f"{free_bytes / GIB:.1f} GiB free in {folder}"
    if free_bytes < LEAST_DISK_BYTES:
        return Finding("disk", "fail", message, "make room, or set SPOTON_DATA_DIR")
    if free_bytes < LITTLE_DISK_BYTES:
        return Finding("disk", "warn", message, "make room, or lower SPOTON_CACHE_MAX_BYTES")
    return Finding("disk", "ok", message)


def of_shared_memory(total_bytes: int) -> Finding:
    """Pictures go to Triton through it."""
    message = f"{total_bytes / MIB:.0f} MiB in /dev/shm"
    if total_bytes >= LEAST_SHARED_MEMORY_BYTES:
        return Finding("shared_memory", "ok", message)
    return Finding("shared_memory", "warn", message, "give the container shm_size: 512mb")


def of_clock(skew_s: Mapping[str, float]) -> list[Finding]:
    """How far this machine's clock is from the services'; tokens and leases run on it."""
    findings = []
    for service, seconds in skew_s.items():
        message = f"{abs(seconds):.1f} s {'behind' if seconds > 0 else 'ahead of'} {service}"
        if abs(seconds) <= MOST_SKEW_S:
            findings.append(Finding("clock", "ok", message))
        else:
            findings.append(Finding("clock", "warn", message, "synchronise the clocks (chrony)"))
    return findings


def of_log(lines: Iterable[str]) -> list[Finding]:
    """Known failures in a log, each once, with the first line that shows it."""
    found: dict[str, Finding] = {}
    for line in lines:
        known = known_failure(line)
        if known is not None and known.name not in found:
            found[known.name] = Finding(
                f"log: {known.name}", "fail", line.strip()[:200], known.cure
            )
    return list(found.values()) or [Finding("log", "ok", "no known failure in it")]


def worst(findings: Iterable[Finding]) -> Status:
    """The status of the whole."""
    levels = {finding.status for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
