"""All settings, read once at start from the environment (``SPOTON_*`` and the usual service URLs).

Nothing here connects to anything. Services without a URL are started on this machine by the
command that needs them (see ``embedded.py``).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from plugins.errors import InvalidInputError

CHECKOUT = Path(__file__).parent.parent
DEFAULT_PORT = 3847
Positive = Annotated[int, msgspec.Meta(ge=1)]
PLAIN_NAMES = {
    "database_url": "DATABASE_URL",
    "redis_url": "REDIS_URL",
    "triton_url": "TRITON_URL",
    "s3_endpoint_url": "S3_ENDPOINT_URL",
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of every command; each field is ``SPOTON_<FIELD>`` in the environment, or the plain
    name in ``PLAIN_NAMES``. Paths are relative to the working directory.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = DEFAULT_PORT
    data_dir: Path = Path(".spoton")
    model_repository: Path = CHECKOUT / "model_repository"
    triton_python: Path = CHECKOUT / ".venv-triton" / "bin" / "python"
    environments_dir: Path | None = None

    database_url: str | None = None
    redis_url: str | None = None
    triton_url: str | None = None
    object_store_url: str | None = None
    s3_endpoint_url: str | None = None

    cache_max_bytes: Positive = 20 * 1024**3
    frames_kept: Positive = 32
    updates_kept: Positive = 3000
    jpeg_quality: Annotated[int, msgspec.Meta(ge=1, le=100)] = 80
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    tasks_at_once: Positive = 1
    service_patience_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    allowed_origins: tuple[str, ...] = ("http://localhost:5173",)
    log_level: str = "info"
    log_format: str = "console"

    def store_url(self) -> str:
        """Where recordings lie; a folder of the data directory unless set."""
        return self.object_store_url or (self.data_dir / "recordings").resolve().as_uri()

    def environment_folders(self) -> list[Path]:
        """Folders of environment files beside the packaged ones."""
        return [self.environments_dir] if self.environments_dir else []


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings; an unknown ``SPOTON_*`` name or a bad value raises InvalidInputError."""
    values: dict[str, object] = {}
    for field in Settings.__struct_fields__:
        name = variable_name(field)
        if environ.get(name):
            values[field] = _parsed(field, environ[name])
    known = {variable_name(field) for field in Settings.__struct_fields__}
    unknown = sorted(n for n in environ if n.startswith("SPOTON_") and n not in known | {TEST_DATA})
    if unknown:
        raise InvalidInputError(f"unknown setting {unknown[0]}; known: {', '.join(sorted(known))}")
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_as_path)
    except msgspec.ValidationError as error:
        raise InvalidInputError(_bad_value(str(error), environ)) from error


TEST_DATA = "SPOTON_TEST_DATA"


def variable_name(field: str) -> str:
    """The variable that sets a field."""
    return PLAIN_NAMES.get(field, f"SPOTON_{field.upper()}")


def _bad_value(what: str, environ: Mapping[str, str]) -> str:
    """Makes msgspec's words, "... - at `$.port`", name the variable and its value."""
    reason, _, place = what.partition(" - at `$.")
    name = variable_name(place.partition("[")[0].rstrip("`"))
    return f"{name}={environ.get(name, '')!r} cannot be used: {reason}; correct or unset it"


def _as_path(kind: type, text: object) -> Path:
    if kind is not Path:
        raise NotImplementedError(kind)
    return Path(str(text))


def _parsed(field: str, text: str) -> object:
    return [part.strip() for part in text.split(",")] if field == "allowed_origins" else text


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give a child process the same settings."""
    values = {field: getattr(settings, field) for field in Settings.__struct_fields__}
    return {
        variable_name(field): _as_text(value)
        for field, value in values.items()
        if value is not None
    }


def _as_text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
