"""``spoton models`` as its users call it, over a repository of small models."""

import json
import os

import numpy as np
import onnx
import pytest

from control_plane.__main__ import main
from plugins.inference.model_import import import_model, serving_version
from plugins.inference.triton_server import TritonServer
from tests.blob_world import write_models
from tests.evaluation.folders import write_filmed
from tests.inference.toy_models import osnet_file, save, yolox_file
from tests.triton_fixtures import TRITON_PYTHON, empty_repository, require_triton


@pytest.fixture
def models(monkeypatch, tmp_path, capsys):
    """Calls the command in this process; returns its status, output and stderr."""
    monkeypatch.setenv("SPOTON_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOTON_PROFILE", "cpu")
    monkeypatch.delenv("TRITON_URL", raising=False)

    def call(repository, *arguments):
        monkeypatch.setenv("SPOTON_MODEL_REPOSITORY", str(repository))
        status = main(["models", *map(str, arguments)])
        done = capsys.readouterr()
        return status, done.out, done.err

    return call


@pytest.fixture
def repository(tmp_path):
    """One embedder."""
    repository = empty_repository(tmp_path / "models")
    import_model(osnet_file(tmp_path / "first.onnx"), "person_reid", "osnet", repository)
    return repository


def last_json(out: str):
    return json.loads(out.strip().splitlines()[-1])


def bring(models, repository, path, *more):
    return models(
        repository, "import", path, "--as", "person_reid", "--layout", "osnet", "--json", *more
    )


def test_a_candidate_waits_for_its_promotion_and_can_be_taken_back(models, repository, tmp_path):
    """Import, list, promote, roll back: what serves changes with the last two alone."""
    folder, second = repository / "person_reid", osnet_file(tmp_path / "second.onnx", seed=2)

    assert bring(models, repository, second, "--candidate")[0] == 0
    served = [serving_version(folder).name]
    listed = last_json(models(repository, "list", "--json")[1])["models"]
    promoted = last_json(models(repository, "promote", "person_reid/2", "--json")[1])
    served.append(serving_version(folder).name)
    rolled = last_json(models(repository, "rollback", "person_reid", "--json")[1])
    served.append(serving_version(folder).name)

    assert served == ["1", "2", "1"]
    chosen = [(m["version"], m["is_chosen"], m["is_loaded"]) for m in listed]
    assert chosen == [(1, True, None), (2, False, None)]
    assert (promoted["before"], promoted["is_loaded"], rolled["version"]) == (1, False, 1)


def test_an_import_serves_at_once_unless_it_is_a_candidate(models, repository, tmp_path):
    second = osnet_file(tmp_path / "second.onnx", seed=2)

    _, out, _ = models(repository, "import", second, "--as", "person_reid", "--layout", "osnet")

    assert "serves from the next start" in out
    assert serving_version(repository / "person_reid").name == "2"


def test_list_says_what_a_running_server_answers_with(models, repository, tmp_path, monkeypatch):
    """The newest is on disk, the older one loaded."""
    require_triton()
    server = TritonServer(TRITON_PYTHON, repository, tmp_path / "runtime")
    try:
        server.start()
        server.wait_ready()
        monkeypatch.setenv("TRITON_URL", server.url)
        import_model(osnet_file(tmp_path / "o.onnx", seed=2), "person_reid", "osnet", repository)
        listed = last_json(models(repository, "list", "--json")[1])["models"]
        status, out, _ = models(repository, "promote", "person_reid/2", "--watch", "0.5")
        after = last_json(models(repository, "list", "--json")[1])["models"]
    finally:
        server.close()

    assert [(m["version"], m["is_chosen"], m["is_loaded"]) for m in listed] == [
        (1, False, True),
        (2, True, False),
    ]
    assert status == 0
    assert "serves now, in place of version 1" in out
    assert [m["version"] for m in after if m["is_loaded"] and m["is_pinned"]] == [2]


def test_build_without_a_gpu_is_one_line_and_a_dry_run_shows_the_command(models, repository):
    status, _, err = models(repository, "build")
    dry = models(repository, "build", "--model", "person_reid", "--dry-run")[1]

    assert status == 1
    assert "no NVIDIA GPU" in err
    assert len(err.strip().splitlines()) == 1
    assert "--maxShapes=crops:64x3x64x32" in dry
    assert "trtexec" in dry


NVIDIA_SMI = "#!/bin/sh\necho 'NVIDIA L4, 570.133.20, 8.9, 23034, 20000'\n"
# Does what follows the name of trtexec on its command line: writes the plan.
DOCKER = """#!/bin/sh
echo 'TensorRT.trtexec [TensorRT v100900]'
for argument in "$@"; do
  plan=${argument#--saveEngine=}
  [ "$plan" = "$argument" ] || { echo "$*" > "$plan"; echo built >> "$CALLS"; }
done
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Scripts in place of NVIDIA's programs; the file says how often a plan was built."""
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    for name, text in (("nvidia-smi", NVIDIA_SMI), ("docker", DOCKER)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(calls))
    return calls


def test_the_first_start_builds_plans_and_later_ones_leave_what_fits(models, repository, calls):
    """What compose.yaml and the manifests run before Triton. A plan of another precision is
    somebody's choice; one for another GPU is none.
    """
    only = "--model", "person_reid", "--json"
    version = repository / "person_reid" / "1"

    def build(*more):
        status, out, _ = models(repository, "build", *only, *more)
        (plan,) = last_json(out)["plans"]
        return status, plan["precision"], plan["from_cache"], plan["is_kept"]

    first = build("--missing", "--precision", "fp32")
    second = build("--missing")
    third = build()
    record = version / "model.plan.json"
    record.write_text(record.read_text().replace("NVIDIA L4", "NVIDIA T4"))
    fourth = build("--missing")

    assert first == (0, "fp32", False, False)
    assert second == (0, "fp32", True, True)
    assert third == (0, "fp16", False, False)
    assert fourth == (0, "fp16", True, False)
    assert calls.read_text() == "built\n" * 2
    assert (version / "model.plan").is_file()


@pytest.mark.usefixtures("calls")
def test_a_folder_that_cannot_be_written_is_one_line(models, repository, monkeypatch):
    """Nobody may make a folder there, not even root."""
    monkeypatch.setenv("SPOTON_DATA_DIR", "/sys/spoton")

    status, _, err = models(repository, "build", "--model", "person_reid")

    assert status == 1
    assert "cannot be written" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("promote", "person_reid/9"), "no version 9"),
        (("rollback", "person_reid"), "nothing was promoted"),
        (("verify", "nothing.onnx"), "nor a file"),
        (("verify", "person_detector/1"), "has no version"),
        (("pull", "resnet"), "yolox-nano"),
        (("build", "--version", "1"), "say of which --model"),
    ],
)
def test_a_wrong_request_is_one_line_that_names_it(models, repository, arguments, says):
    status, _, err = models(repository, *arguments)

    assert status == 1
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_a_file_of_other_bytes_is_not_taken_for_a_known_model(models, repository, tmp_path):
    status, _, err = models(
        repository, "pull", "yolox-nano", "--from", yolox_file(tmp_path / "y.onnx")
    )

    assert status == 1
    assert "not the yolox-nano that was checked" in err


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    require_triton()
    return write_filmed(tmp_path_factory.mktemp("filmed") / "walk")


@pytest.fixture
def blobs(tmp_path):
    """The red and blue world's models."""
    write_models(tmp_path / "blob_models")
    return tmp_path / "blob_models"


def test_the_same_detector_again_agrees_with_itself_and_may_serve(models, blobs, filmed):
    """As version 2 beside version 1: every box is found again, and the figures are all found."""
    (blobs / "person_detector" / "1").rename(blobs / "person_detector" / "2")
    write_models(blobs.with_name("again"))
    (blobs.with_name("again") / "person_detector" / "1").rename(blobs / "person_detector" / "1")

    status, out, err = models(
        blobs, "verify", "person_detector/1", "--footage", filmed, "--sets", "6",
        "--most-ratio", "50", "--json",
    )  # fmt: skip
    trial = last_json(out)

    assert status == 0, err
    assert trial["agreement"]["found"] == trial["agreement"]["confirmed"] == 1
    assert trial["agreement"]["mean_iou"] == pytest.approx(1)
    assert trial["serving"]["accuracy"]["recall"] > 0.9
    assert trial["pictures"] >= 20
    assert trial["problems"] == []


def test_a_detector_that_finds_nobody_should_not_serve(models, blobs, filmed, tmp_path):
    """A file is tried without being installed; what serves is as it was."""
    blind = yolox_file(tmp_path / "blind.onnx", (192, 320), cells_wide=0.1)

    status, out, _ = models(
        blobs, "verify", blind, "--as", "person_detector", "--layout", "yolox",
        "--footage", filmed, "--sets", "4", "--most-ratio", "50",
    )  # fmt: skip

    assert status == 1
    assert "should not serve: recall falls" in out.replace("\n", " ")
    assert [path.name for path in (blobs / "person_detector").glob("[0-9]*")] == ["1"]


def nobody_apart_file(path):
    """A crop's mean colour beside which a constant is a thousand times as large."""
    nodes = [
        onnx.helper.make_node("GlobalAveragePool", ["in"], ["pooled"]),
        onnx.helper.make_node("Reshape", ["pooled", "flat"], ["colour"]),
        onnx.helper.make_node("Add", ["colour", "much"], ["out"]),
    ]
    weights = {"flat": np.array([0, -1], np.int64), "much": np.full(3, 1000, np.float32)}
    return save(path, nodes, weights, ["n", 3, 64, 32], ["n", 3])


def test_an_embedder_that_tells_nobody_apart_should_not_serve(models, blobs, filmed, tmp_path):
    """Every pair of people looks alike to it: the tracker's thresholds would join them."""
    status, out, _ = models(
        blobs, "verify", nobody_apart_file(tmp_path / "o.onnx"), "--as", "person_reid",
        "--layout", "osnet", "--footage", filmed, "--sets", "6", "--most-ratio", "50", "--json",
    )  # fmt: skip
    trial = last_json(out)

    assert trial["agreement"]["dimensions"] == [3, 3]
    assert trial["serving"]["accuracy"]["confused"] == 0
    assert trial["candidate"]["accuracy"]["confused"] == 1
    assert any("confuses 100.0%" in problem for problem in trial["problems"])
    assert status == 1
