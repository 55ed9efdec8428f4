"""NVIDIA's driver libraries as C functions: they write into the caller's memory as the headers say.

Offsets and sizes are those of CUVIDDECODECAPS in cuviddec.h, put down here a second time. The
answers are those of an NVIDIA H100 80GB with driver 580.159.04; the error codes are the headers',
since none could be provoked there.
"""

import ctypes
import struct
from ctypes import CFUNCTYPE, c_int, c_uint, c_void_p
from types import SimpleNamespace

CAPABILITIES_BYTES = 88


class DriverDouble:
    """``load`` stands for ctypes.CDLL; ``errors`` has the code that a function answers instead of
    0, ``missing`` the libraries that are not there. ``calls`` are the names as they were called.
    """

    def __init__(self, *, missing=(), errors=None, gpus=1, version=b"580.159.04", **decoder):
        self.missing, self.errors, self.calls = missing, errors or {}, []
        self.gpus, self.version = gpus, version
        self.decoder = {"supported": 1, "engines": 7, "width": 4096, "height": 4096} | decoder
        self.libraries = {
            "libnvidia-ml.so.1": self._library(
                nvmlInit_v2=(None,),
                nvmlSystemGetDriverVersion=(self._version, c_void_p, c_uint),
                nvmlDeviceGetCount_v2=(self._count, c_void_p),
                nvmlShutdown=(None,),
            ),
            "libcuda.so.1": self._library(
                cuInit=(None, c_uint),
                cuDeviceGet=(self._device, c_void_p, c_int),
                cuDevicePrimaryCtxRetain=(self._context, c_void_p, c_int),
                cuCtxPushCurrent_v2=(self._push, c_void_p),
                cuCtxPopCurrent_v2=(self._context, c_void_p),
                cuDevicePrimaryCtxRelease_v2=(None, c_int),
            ),
            "libnvcuvid.so.1": self._library(cuvidGetDecoderCaps=(self._capabilities, c_void_p)),
        }

    def load(self, name):
        if name in self.missing:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return self.libraries[name]

    def _library(self, **functions):
        made = {name: self._function(name, *parts) for name, parts in functions.items()}
        return SimpleNamespace(**made)

    def _function(self, name, body, *types):
        def answer(*arguments):
            self.calls.append(name)
            code = self.errors.get(name, 0)
            if code == 0 and body is not None:
                body(*arguments)
            return code

        return CFUNCTYPE(c_int, *types)(answer)

    def _version(self, text, length):
        assert length >= 80
        ctypes.memmove(text, self.version + b"\0", len(self.version) + 1)

    def _count(self, number):
        c_uint.from_address(number).value = self.gpus

    def _device(self, device, index):
        c_int.from_address(device).value = index

    def _context(self, context, *_device):
        c_void_p.from_address(context).value = 0x7F0011223344

    def _push(self, context):
        assert context == 0x7F0011223344

    def _capabilities(self, address):
        """Of H.264 (codec 4) in 4:2:0 (format 1) with 8 bits. What the GPU does not decode gets
        zeros, and no error: so did AV1.
        """
        held = (ctypes.c_char * CAPABILITIES_BYTES).from_address(address)
        assert struct.unpack_from("<iiI", held) == (4, 1, 0)
        assert held[12:] == bytes(CAPABILITIES_BYTES - 12)
        d = self.decoder
        if not d["supported"]:
            return
        struct.pack_into("<BBH", held, 24, d["supported"], d["engines"], 1)
        struct.pack_into("<III", held, 28, d["width"], d["height"], 65536)
        struct.pack_into("<HH", held, 40, 48, 16)
