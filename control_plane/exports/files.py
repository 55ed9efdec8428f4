"""Where exported files lie: ``<job>-<attempt>-<name>`` in the object store, with a manifest."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from control_plane.embedded import data_folder
from control_plane.settings import Settings
from plugins.errors import SpotOnError
from plugins.media.object_store import ObjectStore, open_object_store

CHUNK_BYTES = 1 << 20


class NotWrittenError(SpotOnError):
    """A file could not be written where it is made."""

    code = "export_not_written"


@contextmanager
def writing() -> Iterator[None]:
    """Around what touches files alone: beside a connection an OSError would mean the database."""
    try:
        yield
    except OSError as error:
        raise NotWrittenError(
            f"the file could not be written ({error.strerror or error}): make room in "
            "SPOTON_DATA_DIR, where files are made, and where SPOTON_EXPORT_STORE_URL points"
        ) from error


def open_exports(settings: Settings) -> ObjectStore:
    """The store of exports; a folder of the data directory is made if it is not there."""
    url = settings.exports_url()
    if settings.export_store_url is None and url.startswith("file://"):
        (data_folder(settings) / "exports").mkdir(exist_ok=True)
    return open_object_store(url, endpoint_url=settings.s3_endpoint_url)


def key_of(job_id: str, attempt: int, name: str) -> str:
    """Each attempt has keys of its own: a late one never writes over another's file."""
    return f"{job_id}-{attempt}-{name}"


def delete_files(store: ObjectStore, job_id: str, attempt: int | None = None) -> None:
    """Everything of a job, or of one attempt; errors as ObjectStore's."""
    for found in store.list(f"{job_id}-" if attempt is None else f"{job_id}-{attempt}-"):
        store.delete(found.key)


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
