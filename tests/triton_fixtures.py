"""A real embedded Triton for tests, and model repositories for it.

``triton_url(test_data)`` is one server for the whole test run, with RTMDet at 320x320 and OSNet;
tests that break servers start their own.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from plugins.inference.model_import import import_model
from plugins.inference.triton_server import TritonServer

PROJECT = Path(__file__).parent.parent
TRITON_PYTHON = PROJECT / ".venv-triton" / "bin" / "python"


def require_triton() -> Path:
    """The server environment's Python; skips the test where 'make setup' has not made it."""
    if not TRITON_PYTHON.is_file():
        pytest.skip("no embedded Triton on this machine: run 'make setup'")
    return TRITON_PYTHON


def empty_repository(folder: Path) -> Path:
    """The shipped configurations in ``folder``, without any model."""
    ignore = shutil.ignore_patterns("[0-9]*", ".staging")
    shutil.copytree(PROJECT / "model_repository", folder, ignore=ignore)
    return folder


def imported_repository(
    folder: Path, test_data: Path, detector_size: tuple[int, int] = (320, 320)
) -> Path:
    """A repository in ``folder`` (must not exist) with RTMDet and OSNet imported."""
    repository = empty_repository(folder)
    models = test_data / "models"
    import_model(
        models / "rtmdet_nano.onnx", "person_detector", "rtmdet", repository, detector_size
    )
    import_model(models / "osnet_x0_25_msmt17.onnx", "person_reid", "osnet", repository)
    return repository


@cache
def running_server(test_data: Path) -> TritonServer:
    """The test run's shared server; never stop or break it."""
    python = require_triton()
    folder = Path(tempfile.mkdtemp(prefix="spoton-test-triton-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    repository = imported_repository(folder / "model_repository", test_data)
    server = TritonServer(python, repository, folder / "runtime")
    server.start()
    atexit.register(server.close)
    server.wait_ready()
    return server


def triton_url(test_data: Path) -> str:
    """GRPC address of the shared server."""
    return running_server(test_data).url
