"""The demo as a newcomer runs it: a rendered scene, the bundled models, the truth beside it."""

import json
from pathlib import Path

import pytest

from tests.services import free_port
from tests.stack import data_folder, last_json, spoton
from tests.triton_fixtures import require_triton

SECONDS, RATE_HZ, PEOPLE = 6, 10, 6
DEMO = ("up", "--demo", "--seconds", str(SECONDS), "--people", str(PEOPLE), "--speed", "max")


@pytest.fixture(scope="module")
def played():
    """The command's output, and the folder that it leaves."""
    require_triton()
    with data_folder() as folder:
        done = spoton(
            *DEMO, "--exit", "--json", settings={"SPOTON_PORT": str(free_port())}, data_dir=folder
        )
        yield done, folder


def test_the_demo_is_followed_with_the_bundled_models(played) -> None:
    """Every set, nearly everybody, under few names; status 0."""
    done, _ = played
    assert done.returncode == 0, done.stderr
    figures = last_json(done.stdout)
    assert (figures["status"], figures["sets"]) == ("COMPLETED", SECONDS * RATE_HZ)
    assert figures["dropped"] == 0
    across = figures["accuracy"]["cross_camera"]
    assert 3 <= across["people"] <= PEOPLE  # some come later
    assert across["idf1"] > 0.6
    assert figures["accuracy"]["ground_1.0m"]["idf1"] > 0.6


def test_it_shows_where_to_watch_what_came_out_and_what_to_import(played) -> None:
    """On the terminal, beside the progress."""
    done, _ = played
    for words in ("Watch it live: http", "arrival to publish", "across cameras", "models pull"):
        assert words in done.stderr


def test_the_scene_lies_where_recordings_are_looked_for(played) -> None:
    """So that it can be played again, and its truth is beside it."""
    _, folder = played
    recordings = folder / "recordings"
    assert sorted(p.name for p in (recordings / "demo").iterdir()) == ["d01", "d02", "d03", "d04"]
    scene = json.loads((recordings / "ground_truth" / "scene.json").read_text())
    assert (scene["frames"], len(scene["people"])) == (SECONDS * RATE_HZ, PEOPLE)


def test_a_scene_that_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """In one line that names the option."""
    settings = {"SPOTON_PORT": str(free_port())}
    done = spoton("up", "--demo", "--people", "0", settings=settings, data_dir=tmp_path)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "--people 0" in line
