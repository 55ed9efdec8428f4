"""An installation to measure."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blob_world import make_blob_world


@pytest.fixture(scope="module")
def blobs() -> Iterator[dict[str, str]]:
    """Settings of a world of two figures, in a folder that the database's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="spoton-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        world = make_blob_world(folder / "world")
        yield world.settings() | {"SPOTON_DATA_DIR": str(folder / "data")}
