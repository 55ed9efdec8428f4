"""Is all here that the GPU profile needs? Which profile follows from that."""

import ctypes
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from plugins.deepstream.driver import Load, ask_driver
from plugins.errors import InvalidInputError, SpotOnError
from plugins.gst.elements import BINDINGS_CURE, BINDINGS_MISSING, missing_elements

ProfileChoice = Literal["auto", "cpu", "gpu"]
ProfileName = Literal["cpu", "gpu"]
PydsKind = Literal["deepstream", "foreign", "missing"]
DRIVER = Path("/proc/driver/nvidia/version")
DEVICE = Path("/dev/nvidiactl")
DEEPSTREAM = Path("/opt/nvidia/deepstream/deepstream/version")
ELEMENTS: tuple[str, ...] = (
    "nvv4l2decoder",
    "nvstreammux",
    "nvinferserver",
    "nvinfer",
    "nvtracker",
    "nvstreamdemux",
    "nvvideoconvert",
    "nvjpegenc",
)
# DeepStream's module has it; the unrelated package of that name on PyPI (belief functions) has not.
TELLTALE = "gst_buffer_get_nvds_batch_meta"


@dataclass(frozen=True, slots=True)
class Presence:
    """What is on this machine: driver and DeepStream versions, "" where absent.

    ``has_device`` is False in a container that was started without its GPU. ``has_bindings`` says
    whether GStreamer could be asked for its elements: if not, all are missing.
    """

    driver: str
    has_device: bool
    deepstream: str
    has_bindings: bool
    missing_elements: tuple[str, ...]
    pyds: PydsKind


@dataclass(frozen=True, slots=True)
class Profile:
    """What a worker runs as, and why, in one line."""

    name: ProfileName
    reason: str


def look_around(load: Load = ctypes.CDLL) -> Presence:
    """Reads the machine; takes GStreamer's registry into account, but starts nothing.

    Files speak for the driver only where it does not itself: WSL 2 has neither of them, and some
    virtual machines and sandboxes lack the version's.
    """
    driver = ask_driver(load)
    has_bindings, missing = True, ELEMENTS
    try:
        missing = missing_elements(ELEMENTS)
    except SpotOnError:
        has_bindings = False
    return Presence(
        driver=driver.version if driver else _text(DRIVER),
        has_device=driver.gpus > 0 if driver else DEVICE.exists(),
        deepstream=_text(DEEPSTREAM),
        has_bindings=has_bindings,
        missing_elements=missing,
        pyds=_pyds_kind(),
    )


def lacking(presence: Presence) -> str | None:
    """The first thing that the GPU profile lacks, with its cure; None where all is there."""
    if not presence.driver and not presence.has_device:
        return (
            "no NVIDIA driver: install one (570 or newer for DeepStream 8.0) on the host, and start"
            " containers with --gpus all"
        )
    if not presence.has_device:
        return "the container has no GPU: start it with --gpus all"
    if not presence.deepstream:
        return "not in the DeepStream container: build docker/worker.Dockerfile and run that"
    if not presence.has_bindings:
        return f"{BINDINGS_MISSING}: {BINDINGS_CURE}"
    if presence.missing_elements:
        missing = ", ".join(presence.missing_elements)
        return (
            f"GStreamer lacks {missing}: delete ~/.cache/gstreamer-1.0 and look at `gst-inspect-1.0"
            f" {presence.missing_elements[0]}`"
        )
    return PYDS_CURES.get(presence.pyds)


PYDS_CURES = {
    "missing": "DeepStream's pyds is not installed: build docker/worker.Dockerfile, which adds it",
    "foreign": "the pyds that is installed is PyPI's unrelated package, not DeepStream's: "
    "`pip uninstall pyds`, then install the wheel of deepstream_python_apps 1.2.2",
}


def choose_profile(wanted: ProfileChoice, presence: Presence) -> Profile:
    """``auto`` is gpu where nothing is lacking. InvalidInputError when ``gpu`` cannot be had."""
    if wanted == "cpu":
        return Profile("cpu", "SPOTON_PROFILE=cpu")
    problem = lacking(presence)
    if problem is None:
        return Profile("gpu", f"DeepStream {presence.deepstream} with driver and pyds")
    if wanted == "gpu":
        raise InvalidInputError(f"SPOTON_PROFILE=gpu cannot be had here: {problem}")
    return Profile("cpu", problem)


def load_pyds() -> ModuleType:
    """DeepStream's module; InvalidInputError where it is another or absent."""
    kind = _pyds_kind()
    if kind != "deepstream":
        raise InvalidInputError(PYDS_CURES[kind])
    import pyds  # noqa: PLC0415  # there is none outside the container

    module: ModuleType = pyds
    return module


def use_new_streammux() -> None:
    """DeepStream reads this when it loads the multiplexer."""
    os.environ["USE_NEW_NVSTREAMMUX"] = "yes"


def _pyds_kind() -> PydsKind:
    if importlib.util.find_spec("pyds") is None:
        return "missing"
    try:
        import pyds  # noqa: PLC0415  # there is none outside the container
    except ImportError:
        return "missing"
    return "deepstream" if hasattr(pyds, TELLTALE) else "foreign"


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text("utf-8").split())
    except OSError:
        return ""
