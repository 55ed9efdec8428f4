"""Which profile a machine gets, and what is said where something is missing."""

import sys
from types import ModuleType

import pytest

from plugins.deepstream.presence import (
    DEVICE,
    DRIVER,
    Presence,
    choose_profile,
    lacking,
    load_pyds,
    look_around,
)
from plugins.errors import InvalidInputError
from tests.deepstream.driver_double import DriverDouble

COMPLETE = {
    "driver": "NVRM version: 570.133.20",
    "has_device": True,
    "deepstream": "Version: 8.0",
    "has_bindings": True,
    "missing_elements": (),
    "pyds": "deepstream",
}


def presence(**changes) -> Presence:
    return Presence(**COMPLETE | changes)


CASES = [
    ({"driver": "", "has_device": False}, "no NVIDIA driver"),
    ({"has_device": False}, "--gpus all"),
    ({"deepstream": ""}, "worker.Dockerfile"),
    ({"has_bindings": False}, "install-system-packages.sh"),
    ({"missing_elements": ("nvinferserver",)}, "gst-inspect-1.0 nvinferserver"),
    ({"pyds": "missing"}, "not installed"),
    ({"pyds": "foreign"}, "unrelated package"),
]


@pytest.mark.parametrize(("changes", "words"), CASES)
def test_auto_falls_back_and_says_why(changes, words):
    """And SPOTON_PROFILE=gpu is refused for the same reason."""
    profile = choose_profile("auto", presence(**changes))
    assert profile.name == "cpu"
    assert words in profile.reason
    with pytest.raises(InvalidInputError, match="SPOTON_PROFILE=gpu cannot be had"):
        choose_profile("gpu", presence(**changes))


def test_complete_machine_gets_the_gpu_unless_told_otherwise():
    assert lacking(presence()) is None
    assert choose_profile("auto", presence()).name == "gpu"
    assert choose_profile("gpu", presence()).name == "gpu"
    assert choose_profile("cpu", presence()).name == "cpu"


@pytest.mark.parametrize("gpus", [0, 1])
def test_driver_itself_says_whether_there_is_a_gpu(gpus):
    """Whatever files there are: WSL 2 has none of them."""
    found = look_around(DriverDouble(gpus=gpus, version=b"572.16").load)
    assert (found.driver, found.has_device) == ("572.16", gpus > 0)


def test_files_speak_where_the_driver_does_not():
    found = look_around(DriverDouble(missing=("libnvidia-ml.so.1",)).load)
    assert bool(found.driver) == DRIVER.exists()
    assert found.has_device == DEVICE.exists()


def test_unrelated_pyds_of_the_package_index_is_recognised(monkeypatch):
    """It computes belief functions."""
    foreign = ModuleType("pyds")
    foreign.__spec__ = __import__("importlib").machinery.ModuleSpec("pyds", None)
    foreign.MassFunction = dict
    monkeypatch.setitem(sys.modules, "pyds", foreign)
    assert look_around().pyds == "foreign"
    with pytest.raises(InvalidInputError, match="pip uninstall pyds"):
        load_pyds()
