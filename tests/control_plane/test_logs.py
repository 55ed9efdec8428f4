"""What the log of a running control plane holds, and what it never does."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.control_plane.people import bearing, closing_of
from tests.services import free_port, postgres_url, redis_url
from tests.stack import ROOT, SPOTON, environment
from tests.waiting import PATIENCE_S, wait_until

TOKEN = "SECRETTOKEN"  # noqa: S105  # of nobody


@contextmanager
def talkative_api(folder: Path) -> Iterator[str]:
    """The address of ``spoton api``, which writes all it can into ``folder/log``; ends with the
    block.
    """
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "SPOTON_PORT": address.partition(":")[2],
        "SPOTON_LOG_LEVEL": "debug",
        "DATABASE_URL": postgres_url(),
        "REDIS_URL": redis_url(),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*SPOTON, "api"], env=environment(settings, folder), cwd=ROOT, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: is_live(f"http://{address}"))
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def is_live(url: str) -> bool:
    try:
        return httpx.get(f"{url}/live").is_success
    except httpx.TransportError:
        return False


def test_no_token_is_written_to_the_log(tmp_path: Path) -> None:
    """However it is sent, to sockets that are accepted, refused and unknown, and to pictures."""
    with talkative_api(tmp_path) as address:
        url = f"ws://{address}/ws/system"
        assert closing_of(f"{url}?token={TOKEN}")[0] == 4401
        assert closing_of(url, additional_headers=bearing(TOKEN))[0] == 4401
        offered = [Subprotocol("bearer"), Subprotocol(TOKEN)]
        assert closing_of(url, subprotocols=offered)[0] == 4401
        with pytest.raises(InvalidStatus), connect(f"ws://{address}/ws/none?token={TOKEN}"):
            pass
        assert httpx.get(f"http://{address}/api/v1/media/none?token={TOKEN}").is_client_error
    written = (tmp_path / "log").read_text()
    assert "Application startup complete" in written
    assert TOKEN not in written
