"""Secrets from files, as compose and Kubernetes mount them."""

import subprocess
import sys

import pytest

from control_plane.settings import read_settings
from plugins.errors import InvalidInputError


def test_secret_is_read_from_its_file_without_the_newline(tmp_path):
    path = tmp_path / "database_url"
    path.write_text("postgresql://spoton@database/spoton\n")
    settings = read_settings({"DATABASE_URL_FILE": str(path)})
    assert settings.database_url == "postgresql://spoton@database/spoton"


def test_variable_itself_wins_over_its_file(tmp_path):
    """A child process gets both: the file's name inherited, the value handed on."""
    environ = {"REDIS_URL": "redis://here/0", "REDIS_URL_FILE": str(tmp_path / "gone")}
    assert read_settings(environ).redis_url == "redis://here/0"


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_missing_and_empty_files_are_named(tmp_path, content):
    path = tmp_path / "signing_key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidInputError, match=r"SPOTON_SIGNING_KEY_FILE=.*signing_key"):
        read_settings({"SPOTON_SIGNING_KEY_FILE": str(path)})


def test_other_settings_have_no_files(tmp_path):
    with pytest.raises(InvalidInputError, match="unknown setting SPOTON_PORT_FILE"):
        read_settings({"SPOTON_PORT_FILE": str(tmp_path)})


def test_settings_are_read_without_loading_what_only_the_gpu_needs():
    code = "import sys, control_plane.settings; print({'gi', 'onnx'} & {*sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.strip() == b"set()"
