"""Which installed version of a model serves: the newest, or the one its configurations are pinned
to. Versions that do not serve stay where they are, so that going back is one line of text.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from plugins.errors import InvalidInputError

NEWEST = "version_policy { latest { num_versions: 1 } }"
HISTORY_FILE = "promotions.json"
_POLICY = re.compile(r"^version_policy\s*\{.*\}[ \t]*$", re.MULTILINE)
_PINNED = re.compile(r"specific\s*\{\s*versions:\s*\[?\s*(\d+)")


class Promoted(msgspec.Struct, frozen=True):
    """A version that was put in charge of a model, by ``spoton models promote`` or ``rollback``.

    ``before`` served until then; None where there was none.
    """

    version: int
    before: int | None
    at: str
    is_rollback: bool = False


def config_files(folder: Path) -> list[Path]:
    """Every configuration of the model whose folder is given."""
    found = [folder / "config.pbtxt", *sorted((folder / "configs").glob("*.pbtxt"))]
    return [path for path in found if path.is_file()]


def pinned_version(folder: Path) -> int | None:
    """The version that the configurations name; None where the newest serves."""
    try:
        line = _POLICY.search((folder / "config.pbtxt").read_text("utf-8"))
    except OSError:
        return None
    number = _PINNED.search(line[0]) if line else None
    return int(number[1]) if number else None


def write_policy(folder: Path, version: int | None) -> None:
    """Pins all configurations of the model to a version, or to the newest with None.

    InvalidInputError, before anything is written, where one has no line ``version_policy``.
    """
    policy = (
        NEWEST
        if version is None
        else f"version_policy {{ specific {{ versions: [ {version} ] }} }}"
    )
    texts = {path: path.read_text("utf-8") for path in config_files(folder)}
    for path, text in texts.items():
        if not _POLICY.search(text):
            raise InvalidInputError(f"{path} has no line '{NEWEST}': add it")
    for path, text in texts.items():
        write_whole(path, _POLICY.sub(policy, text, count=1))


def write_whole(path: Path, text: str) -> None:
    """Replaces a file in one step: Triton may read it at any moment."""
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def read_history(folder: Path) -> list[Promoted]:
    """What was promoted and rolled back, oldest first."""
    try:
        return msgspec.json.decode((folder / HISTORY_FILE).read_bytes(), type=list[Promoted])
    except (OSError, msgspec.DecodeError):
        return []


def add_to_history(
    folder: Path, version: int, before: int | None, *, is_rollback: bool = False
) -> None:
    """Notes who serves from now on."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    entries = [*read_history(folder), Promoted(version, before, at, is_rollback)]
    encoded = msgspec.json.format(msgspec.json.encode(entries), indent=1)
    write_whole(folder / HISTORY_FILE, encoded.decode() + "\n")


def version_before(history: list[Promoted], serving: int) -> int | None:
    """What served before ``serving`` was promoted; rolling back twice goes two promotions back."""
    for entry in reversed(history):
        if entry.version == serving and not entry.is_rollback:
            return entry.before
    return None
