"""Settings from the environment."""

from pathlib import Path

import pytest

from control_plane.settings import Settings, as_environment, read_settings, variable_name
from plugins.errors import InvalidInputError

DOCS = Path(__file__).parent.parent.parent / "docs" / "settings.md"


def test_every_setting_is_documented_and_nothing_else():
    """The table in the documentation has one row for each setting."""
    rows = [line.split("|")[1] for line in DOCS.read_text("utf-8").splitlines() if "| `" in line]
    documented = [row.strip(" `") for row in rows]
    assert documented == [variable_name(field) for field in Settings.__struct_fields__]


def test_a_child_process_gets_the_same_settings():
    """Written to variables and read again, nothing changes."""
    settings = read_settings(
        {
            "SPOTON_PORT": "4000",
            "SPOTON_ENVIRONMENTS_DIR": "/somewhere",
            "DATABASE_URL": "postgresql://db/spoton",
            "SPOTON_ALLOWED_ORIGINS": "http://a, http://b",
            "SPOTON_SCORE_THRESHOLD": "0.25",
        }
    )
    assert settings.allowed_origins == ("http://a", "http://b")
    assert read_settings(as_environment(settings)) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPOTON_PORT", "0"),
        ("SPOTON_PORT", "many"),
        ("SPOTON_JPEG_QUALITY", "101"),
        ("SPOTON_SCORE_THRESHOLD", "-0.1"),
        ("SPOTON_TASKS_AT_ONCE", "0"),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value):
    """The message names the setting."""
    with pytest.raises(InvalidInputError, match=name):
        read_settings({name: value})


def test_an_unknown_setting_is_refused_with_the_known_ones():
    """A typing mistake does not go unnoticed."""
    with pytest.raises(InvalidInputError, match=r"SPOTON_PROT.*SPOTON_PORT"):
        read_settings({"SPOTON_PROT": "3847"})
