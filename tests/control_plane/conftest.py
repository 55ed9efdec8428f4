"""One control plane per test session for the tests that break nothing."""

from collections.abc import Iterator

import pytest

from tests.control_plane.serving import Running, running_app


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running control plane with the environment ``hall`` and every part well."""
    with running_app(tmp_path_factory.mktemp("control_plane")) as running:
        yield running
