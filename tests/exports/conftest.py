"""A control plane that knows the hall by a file, as the processes it starts must."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.control_plane.serving import Running, running_app, write_hall
from tests.control_plane.stored_world import World

API = "/api/v1/export"
WAYS = {
    "ana": [(0, 1, 1), (20, 15, 1), (61, 15, 12)],
    "ben": [(5, 1, 3), (50, 18, 3)],
    "cem": [(30, 3, 2), (60, 3, 2.5)],
}


@pytest.fixture(scope="session")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, World]]:
    """Three people for 65 seconds."""
    folder = write_hall(tmp_path_factory.mktemp("exports"))
    with running_app(folder, environments_dir=folder) as app:
        world = World(WAYS, 65.0)
        world.store(str(app.settings.database_url))
        yield app, world


def ended(
    app: Running, answer: httpx.Response, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """The job, once it has ended."""
    assert answer.is_success, answer.text
    job = answer.json()
    while job["status"] in {"QUEUED", "RUNNING"}:
        time.sleep(0.1)
        job = app.http.get(job["status_url"], headers=headers).json()
    return dict(job)


def file_of(app: Running, job: dict[str, Any]) -> bytes:
    """The whole file."""
    assert job["status"] == "COMPLETED", job
    answer = app.http.get(job["download_url"])
    assert answer.status_code == 200, answer.text
    return answer.content
