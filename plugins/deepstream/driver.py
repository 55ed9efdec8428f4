"""Asks NVIDIA's driver itself, through the libraries that it brings along.

Written from nvml.h, cuda.h and cuviddec.h, and run on one NVIDIA H100 (driver 580.159.04). ``load``
opens a library by its name, as ctypes.CDLL does.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref
from dataclasses import dataclass
from typing import Any

from plugins.errors import SpotOnError

Load = Callable[[str], Any]
NVML, CUDA, NVDEC = "libnvidia-ml.so.1", "libcuda.so.1", "libnvcuvid.so.1"
H264, YUV_420 = 4, 1


@dataclass(frozen=True, slots=True)
class Driver:
    """Version, such as "570.133.20", and how many GPUs this process may see."""

    version: str
    gpus: int


@dataclass(frozen=True, slots=True)
class Decoder:
    """What the first GPU decodes of H.264 (8 bit, 4:2:0); ``max_size`` is width and height in
    pixels. Where it could not be asked, one of ``missing_library`` and ``refusal`` says why.
    """

    is_supported: bool = False
    engines: int = 0
    max_size: tuple[int, int] = (0, 0)
    missing_library: str = ""
    refusal: str = ""


class _Capabilities(ctypes.Structure):
    """CUVIDDECODECAPS of cuviddec.h."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("chroma_format", ctypes.c_int),
        ("bit_depth_minus_8", ctypes.c_uint),
        ("reserved_1", ctypes.c_uint * 3),
        ("is_supported", ctypes.c_ubyte),
        ("engines", ctypes.c_ubyte),
        ("output_formats", ctypes.c_ushort),
        ("max_width", ctypes.c_uint),
        ("max_height", ctypes.c_uint),
        ("max_macroblocks", ctypes.c_uint),
        ("min_width", ctypes.c_ushort),
        ("min_height", ctypes.c_ushort),
        ("has_histogram", ctypes.c_ubyte),
        ("histogram_bits", ctypes.c_ubyte),
        ("histogram_bins", ctypes.c_ushort),
        ("reserved_2", ctypes.c_uint * 10),
    )


def ask_driver(load: Load = ctypes.CDLL) -> Driver | None:
    """NVML's answer, which starts nothing on the GPU. None where it is absent or refuses: without a
    driver, and in a container that was not given the capability utility.
    """
    version, gpus = ctypes.create_string_buffer(80), ctypes.c_uint()
    try:
        nvml = load(NVML)
        _call(nvml, "nvmlInit_v2")
        try:
            _call(nvml, "nvmlSystemGetDriverVersion", version, len(version))
            _call(nvml, "nvmlDeviceGetCount_v2", byref(gpus))
        finally:
            nvml.nvmlShutdown()
    except (OSError, SpotOnError):
        return None
    return Driver(version.value.decode(), gpus.value)


def ask_decoder(load: Load = ctypes.CDLL) -> Decoder:
    """Takes a CUDA context for a moment, and with it some memory of the GPU. A driver that hangs
    holds it up without end: see first that nvidia-smi answers.
    """
    found = _Capabilities(codec=H264, chroma_format=YUV_420)
    try:
        cuda, nvdec = load(CUDA), load(NVDEC)
        with _current_context(cuda):
            _call(nvdec, "cuvidGetDecoderCaps", byref(found))
    except OSError as error:
        return Decoder(missing_library=str(error))
    except SpotOnError as error:
        return Decoder(refusal=str(error))
    return Decoder(bool(found.is_supported), found.engines, (found.max_width, found.max_height))


@contextmanager
def _current_context(cuda: Any) -> Iterator[None]:
    """The first GPU's primary context, current in this thread: NVDEC's library asks for one."""
    device, context = ctypes.c_int(), ctypes.c_void_p()
    _call(cuda, "cuInit", 0)
    _call(cuda, "cuDeviceGet", byref(device), 0)
    _call(cuda, "cuDevicePrimaryCtxRetain", byref(context), device)
    try:
        _call(cuda, "cuCtxPushCurrent_v2", context)
        try:
            yield
        finally:
            cuda.cuCtxPopCurrent_v2(byref(context))
    finally:
        cuda.cuDevicePrimaryCtxRelease_v2(device)


def _call(library: Any, name: str, *arguments: Any) -> None:
    """SpotOnError when the library has no such function, or it answers anything but 0."""
    function = getattr(library, name, None)
    if function is None:
        raise SpotOnError(f"the driver is too old: it has no {name}")
    code = function(*arguments)
    if code != 0:
        raise SpotOnError(f"{name} answers error {code}")
