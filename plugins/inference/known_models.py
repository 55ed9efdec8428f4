"""Open models by name: where they come from, under which licence, and that the bytes are right."""

import hashlib
import logging
import socket
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgspec

from plugins.errors import InvalidInputError, InvalidModelError, UnavailableError
from plugins.inference.layouts.base import ModelName

TABLE = Path(__file__).with_name("known_models.toml")
TIMEOUT_S = 30.0
CONNECT_S = 5.0
CHUNK_BYTES = 1 << 20
Show = Callable[[int], None]


class KnownModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``known_models.toml``, which says what the fields mean."""

    model: ModelName
    layout: str
    licence: str
    input: str
    origin: str
    note: str
    size: tuple[int, int] | None = None
    sha256: str | None = None
    url: str | None = None
    member: str | None = None
    repo: str | None = None
    file: str | None = None
    revision: str | None = None

    @property
    def pinned_by(self) -> str:
        """What makes sure that it is always the same file."""
        if self.sha256:
            return "sha256"
        if self.repo:
            return "no fixed revision" if self.revision == "main" else "revision"
        return "release address" if self.url else "nothing"


@cache
def known_models() -> Mapping[str, KnownModel]:
    """All entries by name."""
    return msgspec.toml.decode(TABLE.read_bytes(), type=dict[str, KnownModel])


def known_model(name: str) -> KnownModel:
    """One entry; InvalidInputError names those there are."""
    entries = known_models()
    if name not in entries:
        raise InvalidInputError(f"no model {name!r} is known: choose one of {', '.join(entries)}")
    return entries[name]


def fetch(name: str, folder: Path, show: Show = lambda _bytes: None) -> Path:
    """The model's ONNX file in ``folder``, its sha256 checked where it is known.

    UnavailableError, one line, where the network does not give it; InvalidModelError for other
    bytes than expected.
    """
    entry = known_model(name)
    folder.mkdir(parents=True, exist_ok=True)
    if entry.repo is not None:
        path = _from_hub(name, entry, folder)
    elif entry.url is not None:
        path = _from_url(name, entry, folder, show)
    else:
        raise InvalidInputError(
            f"{name} has no address to fetch: get it from {entry.origin}, then `spoton models pull "
            f"{name} --from FILE`"
        )
    require_bytes(name, path)
    return path


def require_bytes(name: str, path: Path) -> str:
    """The file's sha256; InvalidModelError where another one is expected."""
    expected, found = known_model(name).sha256, sha256_of(path)
    if expected is not None and found != expected:
        raise InvalidModelError(
            f"{path} is not the {name} that was checked: sha256 {found[:12]}…, expected "
            f"{expected[:12]}…; if you trust it, `spoton models import` takes it"
        )
    return found


def sha256_of(path: Path) -> str:
    """Of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_url(name: str, entry: KnownModel, folder: Path, show: Show) -> Path:
    url = str(entry.url)
    if not url.startswith("https://"):
        raise InvalidInputError(f"{url} is no https address")
    target = folder / url.rpartition("/")[2]
    part = target.with_name(f"{target.name}.part")
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer, part.open("wb") as file:  # noqa: S310  # https
            _copy(answer, file, show)
    except (URLError, OSError) as error:
        part.unlink(missing_ok=True)
        raise UnavailableError(_no_network(name, url, error)) from error
    part.replace(target)
    return _member(target, entry.member) if entry.member else target


def _copy(answer: Any, file: Any, show: Show) -> None:
    done = 0
    while chunk := answer.read(CHUNK_BYTES):
        file.write(chunk)
        show(done := done + len(chunk))


def _member(archive: Path, name: str) -> Path:
    """The file of that name, in whatever folder of the archive."""
    try:
        with zipfile.ZipFile(archive) as files:
            (found,) = [each for each in files.namelist() if each.rpartition("/")[2] == name]
            target = archive.with_suffix(".onnx")
            target.write_bytes(files.read(found))
    except (zipfile.BadZipFile, ValueError) as error:
        raise InvalidModelError(f"{archive} holds no {name}: fetch it by hand") from error
    return target


def _from_hub(name: str, entry: KnownModel, folder: Path) -> Path:
    # Takes half a second to load, for this command alone.
    from huggingface_hub import constants, hf_hub_download  # noqa: PLC0415

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    host = str(urlsplit(constants.ENDPOINT).hostname)
    try:
        # Else it would try again for half a minute where there is no network.
        socket.create_connection((host, 443), timeout=CONNECT_S).close()
        path = hf_hub_download(
            str(entry.repo), str(entry.file), revision=entry.revision, cache_dir=folder
        )
    except Exception as error:  # the hub's errors, httpx's and OSError share no base
        raise UnavailableError(_no_network(name, f"{entry.repo} on the hub", error)) from error
    return Path(path)


def _no_network(name: str, where: str, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return (
        f"{name} could not be fetched from {where} ({reason}): the installed models go on; bring "
        f"the file by other means and use `spoton models pull {name} --from FILE`"
    )
