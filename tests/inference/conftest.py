"""Servers with models made on the spot; see ``triton_fixtures`` for one with real models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.inference.model_import import import_model
from plugins.inference.triton_client import Triton
from plugins.inference.triton_server import TritonServer
from tests.inference.toy_models import osnet_file, yolox_file
from tests.triton_fixtures import empty_repository, require_triton


def toy_repository(folder: Path) -> Path:
    repository = empty_repository(folder / "model_repository")
    import_model(yolox_file(folder / "yolox.onnx"), "person_detector", "yolox", repository)
    import_model(osnet_file(folder / "osnet.onnx"), "person_reid", "osnet", repository)
    return repository


@pytest.fixture(scope="session")
def toy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server that tests share and must leave as it is."""
    python = require_triton()
    folder = tmp_path_factory.mktemp("triton")
    server = TritonServer(python, toy_repository(folder), folder / "runtime")
    server.start()
    server.wait_ready()
    yield server
    server.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[TritonServer]:
    """A server, not started yet, that the test may break."""
    server = TritonServer(require_triton(), toy_repository(tmp_path), tmp_path / "runtime")
    yield server
    server.close()


@pytest.fixture
def toy_triton(toy_server: TritonServer) -> Iterator[Triton]:
    triton = Triton(toy_server.url, repository=toy_server.repository)
    yield triton
    triton.close()
