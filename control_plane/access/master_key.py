"""Where the master key of encryption at rest comes from."""

import os
from pathlib import Path

from control_plane.embedded import data_folder
from control_plane.settings import Settings
from plugins.encryption import MasterKey, as_text, new_master_key, parse_master_key
from plugins.errors import EncryptionKeyError

KEY_FILE = "data.key"


def master_key(settings: Settings) -> MasterKey:
    """SPOTON_DATA_KEY, or what SPOTON_DATA_KEY_FILE holds, or else ``data.key`` of the data
    directory, which is made when it is not there. EncryptionKeyError for one that is no key.
    """
    if settings.data_key:
        return parse_master_key(settings.data_key, "SPOTON_DATA_KEY")
    if settings.data_key_file is not None:
        return read_key_file(settings.data_key_file)
    path = data_folder(settings) / KEY_FILE
    _make(path)
    return read_key_file(path)


def read_key_file(path: Path) -> MasterKey:
    """EncryptionKeyError where the file cannot be read or holds something else."""
    try:
        return parse_master_key(path.read_text("ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise EncryptionKeyError(
            f"the key file {path} cannot be read ({error}): correct SPOTON_DATA_KEY_FILE"
        ) from error


def _make(path: Path) -> None:
    """Writes a new key unless there is one; of several processes at once one wins."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    # Path.open has no opener.
    with open(draft, "x", encoding="ascii", opener=_for_owner_only) as file:
        file.write(as_text(new_master_key()) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _for_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
