"""What people ask for by mistake: one answer that names the thing and what to do instead."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import pytest

from tests.blob_world import BlobWorld, detector
from tests.scenarios.blob_scenes import make_scenes, named_toml
from tests.services import free_port, postgres_url, redis_url
from tests.stack import ROOT, SPOTON, data_folder, environment, last_json, spoton
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> BlobWorld:
    return make_scenes(tmp_path_factory.mktemp("requests"), {"blobs": lambda _: None})


@pytest.fixture(scope="module")
def api(world) -> Iterator[httpx.Client]:
    """``spoton api`` over its own PostgreSQL and Redis; nobody works on its tasks."""
    port = free_port()
    services = {"DATABASE_URL": postgres_url(), "REDIS_URL": redis_url()}
    own = {"SPOTON_PORT": str(port), "SPOTON_ANONYMOUS": "true"}
    settings = world.settings() | services | own
    with data_folder() as folder, (folder / "api.log").open("ab") as output:
        process = subprocess.Popen(
            [*SPOTON, "api"],
            env=environment(settings, folder),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
                wait_until(lambda: is_up(client))
                yield client
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").is_success
    except httpx.TransportError:
        return False


RANGE = {"start_time": "2024-05-01T09:00:01Z", "end_time": "2024-05-01T09:00:02Z"}
BAD_TASKS = {
    "unknown environment": ({"environment_id": "moon"}, 404, "'moon'", "blobs"),
    "unknown camera": ({"cameras": ["attic"]}, 404, "'attic'", "north, east, south, west"),
    "no camera": ({"cameras": []}, 400, "cameras", "length"),
    "end before start": (
        {"start_time": RANGE["end_time"], "end_time": RANGE["start_time"]},
        400,
        "2024-05-01T09:00:02",
        "swap",
    ),
    "a time before the recordings": (
        {"end_time": "2001-01-01T00:00:00Z"},
        400,
        "from 2024-05-01T09:00:00",
        "date-ranges",
    ),
    "a time after the recordings": (
        {"start_time": "2031-01-01T00:00:00Z"},
        400,
        "to 2024-05-01T09:00:03",
        "date-ranges",
    ),
    "a time without a zone": ({"start_time": "2024-05-01T09:00:00"}, 400, "start_time", "timezone"),
    "no time at all": ({"start_time": "yesterday"}, 400, "start_time", "RFC3339"),
    "too fast": ({"speed": 9}, 400, "speed", "4"),
    "no speed": ({"speed": "fast"}, 400, "speed", "fast"),
    "unknown member": ({"sped": 1}, 400, "sped", "unknown field"),
}


@pytest.mark.parametrize("name", BAD_TASKS)
def test_a_task_that_cannot_be_is_refused_with_the_reason(api, name):
    """The error names what was given and what there is; no task is made of it."""
    body, status, *words = BAD_TASKS[name]
    answer = api.post("/api/v1/processing-tasks/start", json={"environment_id": "blobs"} | body)
    assert answer.status_code == status, answer.text
    error = answer.json()
    assert error["success"] is False
    assert error["detail"] == error["error"]["message"]
    for word in words:
        assert word.lower() in error["detail"].lower()
    assert api.get("/api/v1/processing-tasks").json()["items"] == []


@pytest.mark.parametrize("task_id", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_task_is_named(api, task_id):
    """404 with where to look."""
    answer = api.get(f"/api/v1/processing-tasks/{task_id}/status")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "task_not_found")
    assert task_id in answer.json()["detail"]


BAD_SETTINGS = {
    "SPOTON_FOO": ("1", "unknown setting SPOTON_FOO", "SPOTON_PORT"),
    "SPOTON_DATABASE_URL": ("x", "unknown setting SPOTON_DATABASE_URL", " DATABASE_URL"),
    "SPOTON_PORT": ("abc", "SPOTON_PORT='abc'", "int"),
    "SPOTON_TASKS_AT_ONCE": ("0", "SPOTON_TASKS_AT_ONCE='0'", ">= 1"),
    "SPOTON_SERVICE_PATIENCE_S": ("-1", "SPOTON_SERVICE_PATIENCE_S='-1'", "> 0"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_setting_is_named_with_its_value(name, tmp_path):
    """Before anything starts, in one line."""
    value, *words = BAD_SETTINGS[name]
    assert_one_line(spoton("up", settings={name: value}, data_dir=tmp_path / "data"), words)
    assert not (tmp_path / "data").exists()


def test_a_port_beyond_all_ports_is_refused(tmp_path):
    """A number that is no port is a bad setting too."""
    done = spoton("up", settings={"SPOTON_PORT": "70000"}, data_dir=tmp_path / "data")
    assert_one_line(done, ("SPOTON_PORT='70000'", "65535"))


BAD_RUNS = {
    "unknown environment": (("-e", "moon"), "'moon'", "blobs"),
    "unknown camera": (("-e", "blobs", "--cameras", "north,attic"), "'attic'", "north, east"),
    "end before start": (
        ("-e", "blobs", "--start", RANGE["end_time"], "--end", RANGE["start_time"]),
        "2024-05-01T09:00:02Z",
        "not before",
    ),
    "no time": (("-e", "blobs", "--start", "yesterday"), "'yesterday'", "2024-05-01T"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_a_run_that_cannot_be_is_refused_before_any_service_starts(world, name, tmp_path):
    """One line on stderr, no data directory."""
    arguments, *words = BAD_RUNS[name]
    data_dir = tmp_path / "data"
    assert_one_line(spoton("run", *arguments, settings=world.settings(), data_dir=data_dir), words)
    assert not data_dir.exists()


@pytest.mark.parametrize("speed", ["9", "fast"])
def test_a_speed_that_cannot_be_is_named(world, speed, tmp_path):
    """The message has what was given and what can be."""
    arguments = ("run", "-e", "blobs", "--speed", speed)
    done = spoton(*arguments, settings=world.settings(), data_dir=tmp_path)
    assert done.returncode == 2
    assert f"'{speed}' is neither max nor between 0.25 and 4" in done.stderr


def test_an_environment_file_is_told_everything_that_is_wrong_with_it(world, tmp_path):
    """Each mistake with its camera or zone; the status says that there are some."""
    text = named_toml("blobs").replace("capacity = 1", "capacty = 1")
    head, _, south = text.partition('camera_id = "south"')
    path = tmp_path / "blobs.toml"
    path.write_text(f'{head}camera_id = "south"{south.replace("width = 640", "width = 6", 1)}')
    arguments = ("environments", "check", str(path), "--json")
    done = spoton(*arguments, settings=world.settings(), data_dir=tmp_path)
    assert done.returncode == 1
    errors = [f for f in last_json(done.stdout)[str(path)] if f["level"] == "error"]
    assert any(f["camera_id"] == "south" and "width" in f["message"] for f in errors)
    assert any("capacty" in f["message"] and "capacity" in f["message"] for f in errors)


def test_an_environment_that_is_no_toml_is_told_where(world, tmp_path):
    """With the line of the first mistake."""
    path = tmp_path / "blobs.toml"
    path.write_text('environment_id = "blobs\n')
    done = spoton("environments", "check", str(path), settings=world.settings(), data_dir=tmp_path)
    assert done.returncode == 1
    assert "line 1" in done.stdout


def text_file(path: Path) -> None:
    path.write_text("hello, this is not a model\n")


def junk(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def other_layout(path: Path) -> None:
    onnx.save(detector(), path)


BAD_MODELS = {
    "missing": (lambda _: None, "there is no file"),
    "text": (text_file, "not a readable ONNX"),
    "junk": (junk, "not a readable ONNX"),
    "other layout": (other_layout, "rtmdet"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_model_that_cannot_serve_is_not_installed(world, name, tmp_path):
    """One line names the file and what it is not; the repository is as it was."""
    make, words = BAD_MODELS[name]
    path = tmp_path / "model.onnx"
    make(path)
    before = sorted(world.model_repository.rglob("*"))
    arguments = ("models", "import", str(path), "--as", "person_detector", "--layout", "rtmdet")
    done = spoton(*arguments, settings=world.settings(), data_dir=tmp_path)
    assert_one_line(done, (str(path), words))
    assert sorted(world.model_repository.rglob("*")) == before


def assert_one_line(done: "subprocess.CompletedProcess[str]", words) -> None:
    assert done.returncode == 1, done.stderr
    [line] = done.stderr.strip().splitlines()
    for word in words:
        assert word in line
