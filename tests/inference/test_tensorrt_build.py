"""Plans: the commands that build them, what they are called, and building each only once.

No GPU and no TensorRT is needed; a small script stands in for trtexec where one has to run.
"""

import stat
import sys

import pytest

from plugins.errors import InvalidModelError, UnavailableError
from plugins.inference import plan_cache
from plugins.inference.plan_cache import (
    command_here,
    install_plan,
    plan_for,
    read_plan_record,
    read_target,
)
from plugins.inference.tensorrt_build import (
    BATCHES,
    PlanOrder,
    Target,
    in_container,
    parse_tensorrt,
    plan_name,
    trtexec_arguments,
)

SHA = "0123456789abcdef" * 4
DETECTOR = PlanOrder("person_detector", SHA, (288, 512), BATCHES["person_detector"], "fp16")
EMBEDDER = PlanOrder("person_reid", SHA, (128, 64), BATCHES["person_reid"], "int8")
TARGET = Target("NVIDIA L4", "10.9.0")
TRTEXEC = """#!{python}
import sys
from pathlib import Path
print("&&&& RUNNING TensorRT.trtexec [TensorRT v100900] [b34] # trtexec")
options = dict(a[2:].partition("=")[::2] for a in sys.argv[1:])
if "saveEngine" in options:
    if "broken" in Path(options["onnx"]).name:
        print("[E] Error[4]: node Gather: unsupported type")
        sys.exit(1)
    Path(options["saveEngine"]).write_text(" ".join(sys.argv[1:]))
    with Path(__file__).with_name("calls").open("a") as calls:
        calls.write("built\\n")
"""


@pytest.fixture
def command(tmp_path):
    """A trtexec that writes its arguments as the plan and counts its builds."""
    script = tmp_path / "trtexec"
    script.write_text(TRTEXEC.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return lambda arguments: [str(script), *arguments]


def test_the_detector_takes_one_to_eight_pictures_and_the_embedder_up_to_64_crops(tmp_path):
    detector = trtexec_arguments(DETECTOR, tmp_path / "m.onnx", tmp_path / "m.plan")
    embedder = trtexec_arguments(EMBEDDER, tmp_path / "m.onnx", tmp_path / "m.plan")

    assert "--minShapes=images:1x3x288x512" in detector
    assert "--optShapes=images:4x3x288x512" in detector
    assert "--maxShapes=images:8x3x288x512" in detector
    assert "--fp16" in detector
    assert "--int8" not in detector
    assert "--maxShapes=crops:64x3x128x64" in embedder
    assert {"--int8", "--fp16"} <= set(embedder)


def test_in_the_triton_image_folders_keep_their_names(tmp_path):
    command = in_container("registry/tritonserver:1", [tmp_path], ["--onnx=x"])

    assert command[:4] == ["docker", "run", "--rm", "--gpus=all"]
    assert f"--volume={tmp_path}:{tmp_path}" in command
    assert command[-3:] == [
        "registry/tritonserver:1",
        "/usr/src/tensorrt/bin/trtexec",
        "--onnx=x",
    ]


@pytest.mark.parametrize(
    ("order", "target"),
    [
        (DETECTOR, Target("NVIDIA T4", "10.9.0")),
        (DETECTOR, Target("NVIDIA L4", "10.10.0")),
        (PlanOrder("person_detector", "f" * 64, (288, 512), (1, 4, 8), "fp16"), TARGET),
        (PlanOrder("person_detector", SHA, (288, 512), (1, 4, 16), "fp16"), TARGET),
        (PlanOrder("person_detector", SHA, (288, 512), (1, 4, 8), "int8"), TARGET),
        (EMBEDDER, TARGET),
    ],
)
def test_whatever_makes_another_plan_gives_it_another_name(order, target):
    """GPU, TensorRT, model, batch and precision; the same order finds the same name again."""
    assert plan_name(order, target) != plan_name(DETECTOR, TARGET)
    assert plan_name(order, target) == plan_name(order, target)
    assert "/" not in plan_name(order, Target("A/B C", "1"))


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v100900] [b34] # trtexec --help", "10.9.0"),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v101303]", "10.13.3"),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec", "8.6.1"),
    ],
)
def test_trtexec_says_which_tensorrt_it_is(banner, version):
    assert parse_tensorrt(banner) == version


def test_a_plan_is_built_once_and_taken_from_the_cache_afterwards(tmp_path, command):
    """The first start builds, later starts load."""
    onnx = tmp_path / "model.onnx"
    onnx.touch()
    target = read_target("NVIDIA L4", command)

    first = plan_for(DETECTOR, target, onnx, tmp_path / "cache", command)
    second = plan_for(DETECTOR, target, onnx, tmp_path / "cache", command)
    plan_for(DETECTOR, Target("NVIDIA T4", "10.9.0"), onnx, tmp_path / "cache", command)

    assert target == TARGET
    assert (first.was_there, second.was_there) == (False, True)
    assert first.path == second.path
    assert (tmp_path / "calls").read_text() == "built\n" * 2


def test_a_failed_build_leaves_nothing_and_says_why(tmp_path, command):
    onnx = tmp_path / "broken.onnx"
    onnx.touch()

    with pytest.raises(InvalidModelError, match="unsupported type"):
        plan_for(DETECTOR, TARGET, onnx, tmp_path / "cache", command)

    assert list((tmp_path / "cache").iterdir()) == []


def test_an_installed_plan_says_what_it_was_built_for(tmp_path):
    plan = tmp_path / "cached.plan"
    plan.write_bytes(b"plan")
    version = tmp_path / "1"
    version.mkdir()

    installed = install_plan(plan, version, DETECTOR, TARGET)

    record = read_plan_record(version)
    assert installed.read_bytes() == b"plan"
    assert record is not None
    assert (record.gpu, record.tensorrt, record.precision) == ("NVIDIA L4", "10.9.0", "fp16")
    assert read_plan_record(tmp_path) is None


def test_without_trtexec_and_docker_it_says_so(monkeypatch):
    monkeypatch.setattr(plan_cache.shutil, "which", lambda _: None)

    with pytest.raises(UnavailableError, match="--dry-run"):
        command_here("image", [])
