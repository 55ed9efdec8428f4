"""What the driver's own libraries say, and what is made of their silence."""

import ctypes

import pytest

from plugins.deepstream.driver import Decoder, Driver, _Capabilities, ask_decoder, ask_driver
from tests.deepstream.driver_double import CAPABILITIES_BYTES, DriverDouble

CONTEXT = ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2"]
GIVEN_BACK = ["cuCtxPopCurrent_v2", "cuDevicePrimaryCtxRelease_v2"]


def test_driver_tells_its_version_and_gpus():
    double = DriverDouble(gpus=2)
    assert ask_driver(double.load) == Driver("580.159.04", 2)
    assert double.calls[-1] == "nvmlShutdown"


@pytest.mark.parametrize(
    "double",
    [
        DriverDouble(missing=("libnvidia-ml.so.1",)),
        DriverDouble(errors={"nvmlInit_v2": 9}),
        DriverDouble(errors={"nvmlDeviceGetCount_v2": 999}),
    ],
)
def test_driver_that_does_not_answer_is_none(double):
    assert ask_driver(double.load) is None
    assert ("nvmlShutdown" in double.calls) == ("nvmlDeviceGetCount_v2" in double.calls)


def test_structure_is_as_long_as_in_the_header():
    assert ctypes.sizeof(_Capabilities) == CAPABILITIES_BYTES


def test_decoder_is_asked_inside_a_context_that_is_given_back():
    double = DriverDouble()
    assert ask_decoder(double.load) == Decoder(True, 7, (4096, 4096))
    assert double.calls == [*CONTEXT, "cuvidGetDecoderCaps", *GIVEN_BACK]


def test_width_and_height_are_told_apart():
    double = DriverDouble(engines=5, width=4096, height=2304)
    assert ask_decoder(double.load) == Decoder(True, 5, (4096, 2304))


def test_gpu_without_h264_says_so():
    assert ask_decoder(DriverDouble(supported=0).load) == Decoder()


@pytest.mark.parametrize("library", ["libcuda.so.1", "libnvcuvid.so.1"])
def test_missing_library_is_named(library):
    assert library in ask_decoder(DriverDouble(missing=(library,)).load).missing_library


@pytest.mark.parametrize(
    ("function", "then"),
    [
        ("cuInit", []),
        ("cuDevicePrimaryCtxRetain", []),
        ("cuCtxPushCurrent_v2", GIVEN_BACK[1:]),
        ("cuvidGetDecoderCaps", GIVEN_BACK),
    ],
)
def test_refused_call_is_named_and_the_context_given_back(function, then):
    double = DriverDouble(errors={function: 100})
    assert ask_decoder(double.load) == Decoder(refusal=f"{function} answers error 100")
    assert double.calls[double.calls.index(function) + 1 :] == then


def test_driver_without_a_function_is_too_old():
    double = DriverDouble()
    del double.libraries["libnvcuvid.so.1"].cuvidGetDecoderCaps
    assert "no cuvidGetDecoderCaps" in ask_decoder(double.load).refusal
