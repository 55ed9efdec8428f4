"""The embedded server: starts, says what is wrong, leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from plugins.errors import InvalidModelError, PortInUseError, UnavailableError
from plugins.inference.model_import import import_model
from plugins.inference.triton_client import Triton
from plugins.inference.triton_runtime import (
    SHARED_MEMORY,
    Ports,
    free_ports,
    shared_memory_prefix,
    sweep_shared_memory,
)
from plugins.inference.triton_server import TritonServer
from tests.inference.processes import processes
from tests.inference.toy_models import osnet_file, yolox_file
from tests.triton_fixtures import PROJECT, TRITON_PYTHON, empty_repository, require_triton
from tests.waiting import wait_until


def test_a_server_without_models_runs_and_loads_one_later(tmp_path):
    """A fresh installation has no engine; importing one must not need a restart."""
    repository = empty_repository(tmp_path / "model_repository")
    server = TritonServer(require_triton(), repository, tmp_path / "runtime")
    triton = Triton(server.url)
    try:
        server.start()
        server.wait_ready()
        before = triton.is_ready("person_reid")
        with pytest.raises(InvalidModelError, match="person_reid"):
            triton.load("person_reid")
        import_model(osnet_file(tmp_path / "o.onnx"), "person_reid", "osnet", repository)
        triton.load("person_reid")
        after = triton.is_ready("person_reid")
    finally:
        triton.close()
        server.close()

    assert server.models == []
    assert (before, after) == (False, True)


def test_a_model_that_cannot_be_loaded_is_named_and_the_other_serves(tmp_path, own_server):
    broken = own_server.repository / "person_reid" / "2"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"junk")

    own_server.start()
    with pytest.raises(InvalidModelError, match="person_reid"):
        own_server.wait_ready()

    triton = Triton(own_server.url)
    assert triton.is_ready("person_detector")
    assert not triton.is_ready("person_reid")
    triton.close()


@pytest.mark.parametrize("use", ["http", "grpc", "metrics"])
def test_a_taken_port_is_named(tmp_path, use):
    """Whoever has the port, the message says which one and what to do."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        free = free_ports()
        ports = Ports(**{name: getattr(free, name) for name in free.__slots__} | {use: taken})
        repository = empty_repository(tmp_path / "model_repository")
        server = TritonServer(require_triton(), repository, tmp_path / "runtime", ports)
        with pytest.raises(PortInUseError, match=rf"port {taken} .* in use: "):
            server.start()
        server.close()


def test_a_missing_installation_says_how_to_get_one(tmp_path):
    with pytest.raises(UnavailableError, match="make setup"):
        TritonServer(tmp_path / "bin" / "python", tmp_path, tmp_path)


def test_an_environment_without_triton_says_how_to_get_it(tmp_path):
    """For example the application's own environment, given by mistake."""
    with pytest.raises(UnavailableError, match="holds no Triton server"):
        TritonServer(Path(sys.executable), tmp_path, tmp_path)


def test_stopping_leaves_no_process_and_no_shared_memory(own_server):
    own_server.start()
    own_server.wait_ready()
    group = own_server.pid
    prefix = shared_memory_prefix(own_server.runtime_folder)
    during = list(SHARED_MEMORY.glob(f"{prefix}*"))

    own_server.stop()

    assert group is not None
    assert during
    assert not list(SHARED_MEMORY.glob(f"{prefix}*"))
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_sweep_takes_only_regions_of_the_same_runtime_folder(tmp_path):
    own = SHARED_MEMORY / (shared_memory_prefix(tmp_path / "own") + "left-over")
    other = SHARED_MEMORY / (shared_memory_prefix(tmp_path / "other") + "in-use")
    own.touch()
    other.touch()
    try:
        swept = sweep_shared_memory(shared_memory_prefix(tmp_path / "own"))

        assert (swept, own.exists(), other.exists()) == (1, False, True)
    finally:
        other.unlink()


LAUNCHER = """
    import sys, time
    from pathlib import Path
    from plugins.inference.triton_server import TritonServer
    server = TritonServer(*map(Path, sys.argv[1:4]))
    server.start()
    server.wait_ready()
    print(server.pid, flush=True)
    time.sleep(600)
"""


def test_the_server_ends_when_its_launcher_is_killed(tmp_path):
    """Even a launcher that had no chance to clean up leaves no server behind."""
    python = require_triton()
    repository = empty_repository(tmp_path / "model_repository")
    import_model(yolox_file(tmp_path / "y.onnx"), "person_detector", "yolox", repository)
    launcher = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LAUNCHER), python, repository, tmp_path / "runtime"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    group = int(launcher.stdout.readline())

    launcher.kill()
    launcher.wait()
    launcher.stdout.close()

    wait_until(lambda: group not in {process.group for process in processes()})


def test_the_log_is_kept_in_a_file(toy_server):
    assert toy_server.log_path.is_file()
    assert toy_server.runtime_folder == toy_server.log_path.parent
    assert toy_server.installation.python == TRITON_PYTHON


def test_starting_a_running_server_again_changes_nothing(toy_server):
    before = toy_server.pid

    toy_server.start()

    assert toy_server.pid == before


def test_a_killed_server_can_be_started_again(own_server):
    own_server.start()
    own_server.wait_ready()
    assert own_server.pid is not None
    os.killpg(own_server.pid, signal.SIGKILL)
    wait_until(lambda: not own_server.is_running())

    own_server.start()
    own_server.wait_ready()

    assert own_server.missing_models() == []
