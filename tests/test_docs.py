"""What the documentation names is there: files, settings, commands and their options."""

import argparse
import re
from functools import cache

import pytest

from control_plane.__main__ import COMMANDS, parser
from control_plane.settings import SECRETS, TEST_DATA, Settings, variable_name
from tests.triton_fixtures import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
SETTINGS = {variable_name(field) for field in Settings.__struct_fields__}
FILES = {f"{variable_name(field)}_FILE" for field in SECRETS}
# In code, up to what ends a command there.
CALL = re.compile(r"(?:(?<=`)|^[ $]*|(?<=&& )|(?<==)\S* )spoton ([a-z]+)([^`#|&\n]*)", re.MULTILINE)


@cache
def options(command: str) -> frozenset[str]:
    """Every option of a command and of its actions, which argparse keeps to itself."""
    actions = parser(command)._subparsers._group_actions
    return frozenset(_options(actions[0].choices[command]))


def _options(one: argparse.ArgumentParser):
    for action in one._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield name
                yield from _options(inner)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_settings_and_commands_are_those_there_are(page):
    text = page.read_text()
    assert set(re.findall(r"\bSPOTON_[A-Z0-9_]+", text)) <= SETTINGS | FILES | {TEST_DATA}
    for command, rest in CALL.findall(text):
        assert command in COMMANDS, command
        words = rest.split()
        used = {w.split("=")[0] for w in words if w.startswith("--")}
        assert used <= options(command), (command, rest)
        if command in {"models", "environments"} and words:
            assert words[0] in options(command), rest


def test_every_setting_and_command_is_explained():
    page = (PROJECT / "docs" / "settings.md").read_text()
    assert {name for name in SETTINGS if f"`{name}`" not in page} == set()
    everything = "\n".join(page.read_text() for page in PAGES)
    assert {name for name in COMMANDS if f"spoton {name}" not in everything} == set()
