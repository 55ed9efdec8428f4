"""One control plane per test session for the tests that break nothing."""

from collections.abc import Iterator

import pytest

from homography.environment import load_environments
from tests.control_plane.people import running_secured
from tests.control_plane.serving import ENVIRONMENT, Running, running_app, write_hall


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running control plane with the environment ``hall`` and every part well."""
    with running_app(tmp_path_factory.mktemp("control_plane")) as running:
        yield running


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that serves nobody without a token."""
    with running_secured(tmp_path_factory.mktemp("secured")) as running:
        yield running


OTHER = (
    ENVIRONMENT.replace('"hall"', '"yard"')
    + """
[[cameras]]
camera_id = "y1"
name = "Yard"
width = 640
height = 360
fps = 10.0
image_to_ground = [[0.0, -0.06, 26.0], [0.04, 0.0, -2.0], [0.0, 0.0, 1.0]]
"""
)


@pytest.fixture(scope="session")
def two_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The environments hall and yard."""
    folder = write_hall(tmp_path_factory.mktemp("places"))
    (folder / "yard.toml").write_text(OTHER)
    with running_secured(folder, catalogue=load_environments([folder])) as app:
        yield app
