"""Each diagnosis from given facts, and the command against services that are away."""

import json
import os

import pytest

from control_plane.__main__ import main
from control_plane.commands import doctor
from control_plane.commands.doctor import of_log_file, of_machine
from control_plane.health import diagnoses, machine_facts
from control_plane.health.diagnoses import Finding, Gpu, Plan
from control_plane.health.probes import Component
from control_plane.settings import read_settings
from plugins.deepstream.driver import Decoder
from plugins.deepstream.failures import KNOWN_FAILURES, explained, known_failure
from plugins.deepstream.presence import ELEMENTS, Presence, Profile, lacking, look_around
from plugins.errors import InvalidInputError
from tests.triton_fixtures import PROJECT

# As nvidia-smi and the kernel's module of a real one say it.
H100_SAYS = "NVIDIA H100 80GB HBM3, 580.159.04, 9.0, 81559, 81079"
H100_MODULE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64 580.159.04 Release Build"
L4 = Gpu("NVIDIA L4", "570.133.20", "8.9", 23034, 20000)
COMPLETE = {
    "driver": H100_MODULE,
    "has_device": True,
    "deepstream": "Version: 8.0",
    "has_bindings": True,
    "missing_elements": (),
    "pyds": "deepstream",
}


def presence(**changes) -> Presence:
    return Presence(**COMPLETE | changes)


def by_name(findings) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_complete_gpu_machine_is_well():
    found = by_name(diagnoses.of_presence(presence()))
    assert {f.status for f in found.values()} == {"ok"}
    assert found["driver"].message == "580.159.04"


def test_machine_without_any_gpu_is_not_blamed_for_it():
    bare = presence(driver="", has_device=False, deepstream="", pyds="missing")
    assert diagnoses.of_presence(bare) == []
    assert diagnoses.of_gpu(None, is_needed=False, tasks=1) == []


@pytest.mark.parametrize(
    ("changes", "name", "status", "cure"),
    [
        ({"has_device": False}, "gpu_device", "fail", "--gpus all"),
        ({"driver": "NVRM version: 535.54.03"}, "driver", "fail", "570"),
        ({"driver": ""}, "driver", "warn", "nvidia-smi"),
        ({"deepstream": ""}, "deepstream", "fail", "worker.Dockerfile"),
        ({"deepstream": "Version: 7.1"}, "deepstream", "warn", "8.0"),
        (
            {"has_bindings": False, "missing_elements": ("nvjpegenc",)},
            "gstreamer_gpu",
            "fail",
            "install-system-packages.sh",
        ),
        ({"missing_elements": ("nvjpegenc",)}, "gstreamer_gpu", "fail", "gst-inspect-1.0"),
        ({"pyds": "missing"}, "pyds", "fail", "worker.Dockerfile"),
        ({"pyds": "foreign"}, "pyds", "fail", "pip uninstall pyds"),
    ],
)
def test_each_missing_part_has_its_cure(changes, name, status, cure):
    finding = by_name(diagnoses.of_presence(presence(**changes)))[name]
    assert finding.status == status
    assert cure in finding.cure


def test_outside_the_container_the_container_alone_is_named():
    """What only it brings has no cure of its own there; a foreign pyds has."""
    outside = presence(deepstream="", missing_elements=ELEMENTS, pyds="missing")
    assert list(by_name(diagnoses.of_presence(outside))) == ["driver", "gpu_device", "deepstream"]
    foreign = presence(deepstream="", pyds="foreign")
    assert by_name(diagnoses.of_presence(foreign))["pyds"].status == "fail"


@pytest.mark.parametrize(
    ("wanted", "statuses"),
    [
        ("auto", {"gpu": "ok", "deepstream": "warn"}),
        ("gpu", {"profile": "fail", "deepstream": "fail", "engine_person_reid": "fail"}),
        ("cpu", {"profile": "ok"}),
    ],
)
def test_lack_of_what_only_the_gpu_profile_needs_fails_where_it_is_wanted(
    tmp_path, monkeypatch, wanted, statuses
):
    """A GPU outside the container, where ``auto`` runs the CPU profile."""
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\necho '{H100_SAYS}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(doctor, "look_around", lambda: presence(deepstream="", pyds="missing"))
    settings = {"SPOTON_PROFILE": wanted, "SPOTON_DATA_DIR": str(tmp_path / "data")}

    found = by_name(of_machine(read_settings(settings)))

    assert {name: found[name].status for name in statuses} == statuses
    failed = {f.name for f in found.values() if f.status == "fail"} - {"disk"}
    assert (failed != set()) == (wanted == "gpu")
    assert ("gpu" in found) == ("decoders" in found) == (wanted != "cpu")


def test_refused_profile_is_a_failure_and_a_chosen_one_says_why():
    assert diagnoses.of_profile("gpu", None, "no driver").status == "fail"
    chosen = diagnoses.of_profile("auto", Profile("cpu", "no driver"), "")
    assert (chosen.status, chosen.message) == ("ok", "cpu, wanted auto: no driver")


def test_gpu_memory_is_weighed_against_the_tasks():
    assert diagnoses.of_gpu(L4, is_needed=True, tasks=1)[0].status == "ok"
    assert diagnoses.of_gpu(L4, is_needed=True, tasks=20)[0].status == "warn"
    assert diagnoses.of_gpu(L4, is_needed=False, tasks=20)[0].status == "ok"
    assert "--gpus all" in diagnoses.of_gpu(None, is_needed=True, tasks=1)[0].cure


@pytest.mark.parametrize(
    ("decoder", "status", "words"),
    [
        (Decoder(True, 7, (4096, 4096)), "ok", "H.264 on 7 engines, up to 4096x4096"),
        (Decoder(), "fail", "SPOTON_PROFILE=cpu"),
        (Decoder(missing_library="libnvcuvid.so.1: cannot open"), "fail", "compute,utility,video"),
        (Decoder(refusal="cuInit answers error 100"), "fail", "nvidia-smi"),
    ],
)
def test_decoders_are_judged_by_what_the_driver_says(decoder, status, words):
    (finding,) = diagnoses.of_decoders(decoder)
    assert finding.status == status
    assert words in finding.message + finding.cure
    assert diagnoses.of_decoders(None) == []


@pytest.mark.parametrize(
    ("gpu", "tensorrt", "status"),
    [
        ("NVIDIA L4", "10.9.0", "ok"),
        ("NVIDIA A10", "10.9.0", "fail"),
        ("NVIDIA L4", "10.3.0", "fail"),
        ("", "", "warn"),
    ],
)
def test_plan_of_another_gpu_or_tensorrt_is_found(tmp_path, gpu, tensorrt, status):
    folder = tmp_path / "person_detector" / "3"
    folder.mkdir(parents=True)
    (folder / "model.plan").write_bytes(b"plan")
    if gpu:
        record = json.dumps({"gpu": gpu, "tensorrt": tensorrt})
        (folder / "model.plan.json").write_text(record)
    plans = machine_facts.read_plans(tmp_path)
    (finding,) = diagnoses.of_plans(plans, L4, "10.9.0")
    assert plans == [Plan("person_detector", "3", gpu, tensorrt)]
    assert finding.status == status
    assert status == "ok" or "spoton models build" in finding.cure


def test_a_serving_version_without_a_plan_is_found(tmp_path):
    """Older versions need none."""
    for version in ("1", "2"):
        folder = tmp_path / "person_reid" / version
        folder.mkdir(parents=True)
        (folder / "model.onnx").touch()
    (tmp_path / "person_reid" / "config.pbtxt").touch()
    (finding,) = diagnoses.of_lacking_plans(machine_facts.lacking_plans(tmp_path))
    assert (finding.status, finding.message) == ("fail", "person_reid version 2 has no plan")
    assert "spoton models build" in finding.cure
    (tmp_path / "person_reid" / "2" / "model.plan").touch()
    assert machine_facts.lacking_plans(tmp_path) == []


def test_components_that_are_away_get_a_cure():
    found = by_name(
        diagnoses.of_components(
            {
                "redis": Component("away", "refused"),
                "homography": Component("degraded", "x.toml: broken"),
                "database": Component("ok", "answers"),
            }
        )
    )
    assert found["redis"].status == "fail"
    assert found["redis"].cure == "start Redis, or correct REDIS_URL"
    assert found["homography"].status == "warn"
    assert found["database"].cure == ""


def test_disk_shared_memory_and_clock_have_limits():
    gib = 2**30
    disks = [diagnoses.of_disk("/data", n).status for n in (gib // 2, 5 * gib, 50 * gib)]
    assert disks == ["fail", "warn", "ok"]
    assert diagnoses.of_shared_memory(64 * 2**20).cure == "give the container shm_size: 512mb"
    clocks = diagnoses.of_clock({"Redis": 0.3, "PostgreSQL": -7.0})
    assert [c.status for c in clocks] == ["ok", "warn"]
    assert clocks[1].message == "7.0 s ahead of PostgreSQL"


LOG_LINES = {
    "plan for another GPU or TensorRT": "[TRT] Using an engine plan file across different models of"
    " devices is not recommended",
    "decoder limit": "gstnvv4l2decoder: cuvidCreateDecoder failed with error 100",
    "GPU out of memory": "CUDA Runtime error cudaMalloc # out of memory",
    "CUDA buffers cannot be shared": "Failed to register CUDA shared memory",
    "no GPU in the container": "libcuda.so.1: cannot open shared object file",
    "model of another shape": "unexpected shape for input 'images' for model 'person_detector'",
    "Triton away": "failed to connect to all addresses; last error: UNKNOWN: Connection refused",
    "no tensors attached": "the detector attached no tensors: its configuration needs …",
    "another DeepStream": "nvstreammux has no property attach-sys-ts",
}


@pytest.mark.parametrize("known", KNOWN_FAILURES, ids=lambda k: k.name)
def test_every_known_failure_is_recognised_in_the_words_of_its_part(known):
    line = LOG_LINES[known.name]
    assert known_failure(line) is known
    assert explained(line) == f"{line} — {known.cure}"


def test_unknown_errors_stay_as_they_are():
    assert explained("something else") == "something else"
    assert diagnoses.of_log(["all quiet"])[0].status == "ok"


def test_every_known_failure_is_in_the_troubleshooting_page():
    page = (PROJECT / "docs" / "troubleshooting.md").read_text().lower()
    for known in KNOWN_FAILURES:
        assert known.name.lower() in page


def test_log_shows_each_failure_once():
    lines = ["fine", LOG_LINES["GPU out of memory"], LOG_LINES["GPU out of memory"]]
    (finding,) = diagnoses.of_log(lines)
    assert finding.name == "log: GPU out of memory"
    assert diagnoses.worst([finding, Finding("x", "ok", "")]) == "fail"


def test_answer_of_nvidia_smi_is_read():
    text = "NVIDIA L4, 570.133.20, 8.9, 23034, 20000\nNVIDIA L4, 570.133.20, 8.9, 23034, 3\n"
    assert machine_facts.parse_gpu(text) == L4
    h100 = Gpu("NVIDIA H100 80GB HBM3", "580.159.04", "9.0", 81559, 81079)
    assert machine_facts.parse_gpu(H100_SAYS) == h100
    with pytest.raises(ValueError, match="values"):
        machine_facts.parse_gpu("NVIDIA-SMI has failed\n")


def test_doctor_names_every_service_that_is_away(tmp_path, monkeypatch, capsys):
    """One line of JSON, status 1, and a cure for each."""
    for name, value in {
        "DATABASE_URL": "postgresql://127.0.0.1:1/spoton",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "TRITON_URL": "127.0.0.1:1",
        "SPOTON_DATA_DIR": str(tmp_path / "data"),
        "SPOTON_OBJECT_STORE_URL": (tmp_path / "nothing").as_uri(),
    }.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "worker.log"
    log.write_text(LOG_LINES["decoder limit"])

    assert main(["doctor", "--json", "--log", str(log)]) == 1

    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    checks = {check["name"]: check for check in answer["checks"]}
    assert answer["status"] == "fail"
    for name in ("triton", "redis", "database", "object_store", "log: decoder limit"):
        assert checks[name]["status"] == "fail", name
        assert checks[name]["cure"]
    assert checks["homography"]["status"] == "ok"
    assert checks["profile"]["message"].startswith(("cpu", "gpu"))


def test_unreadable_log_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        of_log_file(tmp_path / "none.log")


@pytest.mark.parametrize("command", [("worker",), ("run", "-e", "demo"), ("up",)])
def test_a_profile_that_cannot_be_had_is_refused_before_anything_starts(
    tmp_path, monkeypatch, capsys, command
):
    """One line with the cure."""
    if lacking(look_around()) is None:
        pytest.skip("this machine has all that the GPU profile needs")
    monkeypatch.setenv("SPOTON_PROFILE", "gpu")
    monkeypatch.setenv("SPOTON_DATA_DIR", str(tmp_path / "data"))

    assert main([*command]) == 1

    error = capsys.readouterr().err
    assert "SPOTON_PROFILE=gpu cannot be had here: " in error
    assert str(lacking(look_around())) in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "data").exists()
