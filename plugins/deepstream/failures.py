"""What NVIDIA's parts say when something known is wrong, and the cure of each, in one line."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """``pattern`` finds it in an error or a log line, whatever its case."""

    name: str
    pattern: str
    cure: str


KNOWN_FAILURES = (
    KnownFailure(
        "plan for another GPU or TensorRT",
        r"engine plan file|incompatible device|serialized ?engine ?version"
        r"|version tag does not match|different models of devices"
        r"|deserialize the cuda engine failed",
        "the engine was built for another GPU or TensorRT: delete model.plan and build it on this "
        "machine with `spoton models build`",
    ),
    KnownFailure(
        "decoder limit",
        r"cuvidcreatedecoder|failed to create (the )?decoder|nvdec.*(limit|session)|nvcuvid"
        r"|cuvid.*error",
        "the GPU opens no further video decoder: lower SPOTON_TASKS_AT_ONCE, or end other programs "
        "that decode (`nvidia-smi dmon -s u` shows them); the container needs the capability video",
    ),
    KnownFailure(
        "GPU out of memory",
        r"out of memory|cuda_error_out_of_memory|cudaerrormemoryallocation|std::bad_alloc",
        "the GPU's memory is full: lower SPOTON_TASKS_AT_ONCE or the models' instance_group count; "
        "`nvidia-smi` shows who holds it",
    ),
    KnownFailure(
        "CUDA buffers cannot be shared",
        r"register cuda shared memory|cuda ipc|cudaipc",
        "worker and Triton need the same host, GPU, ipc and pid namespaces; else set "
        "SPOTON_DEEPSTREAM_SHARES_CUDA_BUFFERS=false",
    ),
    KnownFailure(
        "no GPU in the container",
        r"no cuda-capable device|could not select device driver|libcuda\.so\.1|libnvcuvid\.so"
        r"|cuda driver version is insufficient",
        "start the container with --gpus all and install nvidia-container-toolkit on the host; the "
        "driver must be 570 or newer",
    ),
    KnownFailure(
        "model of another shape",
        r"unexpected shape for input|unexpected datatype|model contract"
        r"|expects? .*(inputs?|shape).* (but|got)",
        "the served model is not what the worker expects: `spoton models import` it again, or roll "
        "back",
    ),
    KnownFailure(
        "Triton away",
        r"failed to connect to all addresses|connection refused|statuscode\.unavailable"
        r"|triton.*(not ready|does not answer)",
        "Triton does not answer at TRITON_URL: start it, and look at its log for models that it "
        "could not load",
    ),
    KnownFailure(
        "no tensors attached",
        r"attached no tensors|output_tensor_meta|memory_type_cpu",
        "deepstream_configs were changed: compare them with those of this version",
    ),
    KnownFailure(
        "another DeepStream",
        r"has no property|no element nv|undefined symbol.*nvds",
        "the worker's image is not DeepStream 8.0: build docker/worker.Dockerfile",
    ),
)


def known_failure(line: str) -> KnownFailure | None:
    """The first that fits a line, or None."""
    return next((k for k in KNOWN_FAILURES if re.search(k.pattern, line, re.IGNORECASE)), None)


def explained(error: str) -> str:
    """The error with its cure behind it, where one is known."""
    known = known_failure(error)
    return error if known is None else f"{error} — {known.cure}"
