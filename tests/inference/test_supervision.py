"""A server that dies or stops answering is restarted; clients wait and go on."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from plugins.inference.detector import Detector
from plugins.inference.embedder import Embedder
from plugins.inference.supervision import Supervisor, supervise
from plugins.inference.triton_client import Triton
from plugins.inference.triton_server import TritonServer
from tests.inference.processes import processes
from tests.inference.toy_models import RED, frame_with
from tests.waiting import PATIENCE_S, wait_until

FRAME = frame_with((160, 64, 192, 96), RED)
BOX = (100.0, 20.0, 200.0, 200.0)


@pytest.fixture
def supervised(own_server: TritonServer) -> Iterator[tuple[TritonServer, Supervisor, Triton]]:
    own_server.start()
    own_server.wait_ready()
    triton = Triton(own_server.url, deadline_s=PATIENCE_S, repository=own_server.repository)
    supervisor = supervise(own_server, interval_s=0.2)
    yield own_server, supervisor, triton
    supervisor.stop()
    triton.close()


def model_processes(server: TritonServer, model: str) -> list[int]:
    return [
        process.pid
        for process in processes()
        if process.parent == server.pid and f"{model}_0" in process.command
    ]


def test_a_killed_model_process_is_noticed_and_cured(supervised):
    """Triton itself goes on calling the model ready; a detection just takes longer."""
    server, supervisor, triton = supervised
    detector = Detector(triton)
    before = detector.detect([FRAME])[0]
    (stub,) = model_processes(server, "person_detector")

    os.kill(stub, signal.SIGKILL)
    after = detector.detect([FRAME])[0]

    np.testing.assert_allclose(after.boxes_xyxy, before.boxes_xyxy)
    wait_until(lambda: supervisor.state.status == "ready")
    assert supervisor.state.restarts == 1
    assert "person_detector" in supervisor.state.last_error
    assert model_processes(server, "person_detector") not in ([], [stub])


def test_a_killed_server_is_restarted_and_memory_registered_again(supervised):
    """Both sessions recover, still by shared memory, without their callers' doing."""
    server, supervisor, triton = supervised
    detector, embedder = Detector(triton), Embedder(triton)
    before = embedder.embed([(FRAME, BOX)])
    detector.detect([FRAME])
    first_pid = server.pid

    os.kill(first_pid, signal.SIGKILL)
    found = detector.detect([FRAME, FRAME])
    after = embedder.embed([(FRAME, BOX)])

    assert [len(each) for each in found] == [len(found[0])] * 2
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert detector._last.uses_shared_memory
    assert embedder._session.uses_shared_memory
    wait_until(lambda: supervisor.state.status == "ready")
    assert supervisor.state.restarts == 1
    assert supervisor.state.last_error == "the server's process ended"
    assert server.pid not in (None, first_pid)


def test_a_healthy_server_is_left_alone(supervised):
    server, supervisor, _ = supervised
    pid = server.pid
    wait_until(lambda: supervisor.state.status == "ready")
    checks = supervisor.checks

    wait_until(lambda: supervisor.checks > checks + 5)

    assert dict(supervisor.state.models) == {"person_detector": True, "person_reid": True}
    assert (supervisor.state.restarts, server.pid) == (0, pid)


def test_a_version_that_cannot_be_loaded_is_shown_without_restarting(own_server):
    """Restarting would not help and would take the other model away."""
    broken = own_server.repository / "person_reid" / "2"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"junk")
    own_server.start()
    wait_until(own_server.is_up)

    supervisor = supervise(own_server, interval_s=0.1)
    wait_until(lambda: supervisor.checks > 5)
    state = supervisor.state
    supervisor.stop()

    assert state.status == "failing"
    assert dict(state.models) == {"person_detector": True, "person_reid": False}
    assert state.restarts == 0
    assert supervisor.state.status == "stopped"
