"""Screenshots as a zip, and files from the command line."""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from control_plane.settings import Settings, as_environment
from plugins.media.object_store import FolderStore, open_object_store
from tests.control_plane.people import error_code
from tests.control_plane.serving import CAMERAS, Running
from tests.control_plane.stored_world import World
from tests.exports.conftest import API
from tests.object_server import KEYS, REGION, bucket_of

Hall = tuple[Running, World]


def test_a_zip_holds_every_camera_of_the_newest_set_with_and_without_boxes(hall: Hall) -> None:
    app, _ = hall
    task_id = app.start()
    app.worker.publish(task_id, 0)
    answer = app.http.get(f"{API}/screenshots", params={"task_id": task_id})
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    index = json.loads(archive.read("index.json"))
    names = {f"cameras/{c}{kind}.jpg" for c in CAMERAS for kind in ("", "-boxes")}
    assert {entry["name"] for entry in index["pictures"]} == names
    for entry in index["pictures"]:
        content = archive.read(entry["name"])
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    plain, drawn = (
        cv2.imdecode(np.frombuffer(archive.read(f"cameras/h1{kind}.jpg"), np.uint8), 1)
        for kind in ("", "-boxes")
    )
    assert plain.shape == drawn.shape
    assert np.abs(plain.astype(int) - drawn).max() > 50


def test_where_there_is_nothing_to_show_it_says_how_to_get_something(hall: Hall) -> None:
    app, world = hall
    answer = app.http.get(f"{API}/screenshots", params={"task_id": world.task_id})
    assert error_code(answer, 404) == "picture_not_found"
    assert "play" in answer.json()["detail"]


def test_the_command_writes_the_same_file_and_prints_its_manifest(
    hall: Hall, tmp_path: Path
) -> None:
    app, _ = hall
    settings = msgspec.structs.replace(app.settings, data_dir=tmp_path)
    out = tmp_path / "hall.csv"
    done = exported(
        settings, "tracking-data", "hall", "--camera", "h1", "--out", str(out), "--json"
    )
    manifest = json.loads(done.stdout.strip().splitlines()[-1])
    assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert manifest["rows"] == len(out.read_text().splitlines()) - 1
    unknown = exported(settings, "analytics-report", "nowhere", "--out", str(out))
    assert unknown.returncode == 1
    assert "nowhere" in unknown.stderr


def exported(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "control_plane", "export", *arguments]
    env = os.environ | as_environment(settings)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_objects_are_deleted_from_folders_and_buckets_and_twice_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (*KEYS.items(), ("AWS_DEFAULT_REGION", REGION)):
        monkeypatch.setenv(name, value)
    (tmp_path / "folder").mkdir()
    with bucket_of(tmp_path) as settings:
        url, endpoint = settings["SPOTON_OBJECT_STORE_URL"], settings["S3_ENDPOINT_URL"]
        for store in (
            FolderStore(tmp_path / "folder"),
            open_object_store(url, endpoint_url=endpoint),
        ):
            store.put("a/one", b"1")
            store.put("a/two", b"2")
            store.delete("a/one")
            store.delete("a/one")
            assert [found.key for found in store.list("a/")] == ["a/two"]
