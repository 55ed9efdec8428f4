"""Secrets from files: ``NAME_FILE`` names the file that holds what ``NAME`` would.

Compose and Kubernetes mount secrets as files, which no process list and no crash report shows.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from plugins.errors import InvalidInputError

SUFFIX = "_FILE"


def with_secret_files(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The variables with every ``NAME_FILE`` of ``names`` read and left out; ``NAME`` itself wins.

    Raises InvalidInputError for a file that cannot be read or is empty.
    """
    read = dict(environ)
    for name in names:
        path = read.pop(name + SUFFIX, "")
        if path and not read.get(name):
            read[name] = _content(name + SUFFIX, Path(path))
    return read


def _content(variable: str, path: Path) -> str:
    try:
        content = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{variable}={path} cannot be read ({error}); correct it"
        ) from error
    if not content:
        raise InvalidInputError(f"{variable}={path} is empty; write the secret into it")
    return content
