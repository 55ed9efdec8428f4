"""All settings, read once at start from the environment (``SPOTON_*`` and the usual service URLs).

Nothing here connects to anything. Services without a URL are started on this machine by the
command that needs them (see ``embedded.py``).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from control_plane.access.secret_files import with_secret_files
from plugins.deepstream.configuration import Inference, TrackerChoice
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
# Each may come from a file instead, named by the variable with _FILE behind it.
SECRETS = ("database_url", "redis_url", "admin_password", "signing_key")


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

    profile: Literal["auto", "cpu", "gpu"] = "auto"
    deepstream_inference: Inference = "triton"
    deepstream_tracker: TrackerChoice = "off"
    deepstream_shares_cuda_buffers: bool = True
    deepstream_configs: Path = CHECKOUT / "deepstream_configs"

    database_url: str | None = None
    redis_url: str | None = None
    triton_url: str | None = None
    object_store_url: str | None = None
    s3_endpoint_url: str | None = None
    export_store_url: str | None = None
    export_days: Positive = 7

    data_key: str | None = None
    data_key_file: Path | None = None
    retention_days: Positive | None = None

    cache_max_bytes: Positive = 20 * 1024**3
    frames_kept: Positive = 32
    updates_kept: Positive = 3000
    jpeg_quality: Annotated[int, msgspec.Meta(ge=1, le=100)] = 80
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    tasks_at_once: Positive = 1
    service_patience_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    allowed_origins: tuple[str, ...] = ("http://localhost:5173",)
    anonymous: bool | None = None
    admin_password: Annotated[str, msgspec.Meta(min_length=10, max_length=200)] | None = None
    signing_key: Annotated[str, msgspec.Meta(min_length=32)] | None = None
    access_token_s: Positive = 900
    login_s: Positive = 14 * 86_400
    requests_per_min: Annotated[int, msgspec.Meta(ge=0)] = 6000
    logins_per_min: Annotated[int, msgspec.Meta(ge=0)] = 30
    tracing_url: str | None = None
    log_level: str = "info"
    log_format: str = "console"

    def store_url(self) -> str:
        """Where recordings lie; a folder of the data directory unless set."""
        return self.object_store_url or (self.data_dir / "recordings").resolve().as_uri()

    def exports_url(self) -> str:
        """Where exported files lie: beside recordings in S3, else in the data directory."""
        if self.export_store_url:
            return self.export_store_url
        if (self.object_store_url or "").startswith("s3://"):
            return f"{str(self.object_store_url).rstrip('/')}/exports"
        return (self.data_dir / "exports").resolve().as_uri()

    def environment_folders(self) -> list[Path]:
        """Folders of environment files beside the packaged ones."""
        return [self.environments_dir] if self.environments_dir else []


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings; an unknown ``SPOTON_*`` name or a bad value raises InvalidInputError."""
    environ = with_secret_files(environ, map(variable_name, SECRETS))
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
SECRET = {"SPOTON_ADMIN_PASSWORD", "SPOTON_SIGNING_KEY", "SPOTON_DATA_KEY"}


def variable_name(field: str) -> str:
    """The variable that sets a field."""
    return PLAIN_NAMES.get(field, f"SPOTON_{field.upper()}")


def _bad_value(what: str, environ: Mapping[str, str]) -> str:
    """Makes msgspec's words, "... - at `$.port`", name the variable and its value."""
    reason, _, place = what.partition(" - at `$.")
    name = variable_name(place.partition("[")[0].rstrip("`"))
    value = "" if name in SECRET else f"={environ.get(name, '')!r}"
    return f"{name}{value} cannot be used: {reason}; correct or unset it"


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
