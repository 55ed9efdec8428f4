"""Fixtures every test may use."""

import os
from pathlib import Path

# Before anything imports numpy, as `spoton` does: on small matrices, threads only wait for cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real footage and open models; tests that need it skip where it is not there."""
    folder = os.environ.get("SPOTON_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPOTON_TEST_DATA is unset: no real footage and open models on this machine")
    return Path(folder)
