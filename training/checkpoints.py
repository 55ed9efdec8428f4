"""Checkpoints of a training that cannot be gone on from."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from plugins.errors import InvalidInputError

_UNFIT = (
    KeyError,
    ValueError,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    msgspec.DecodeError,
)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Around the reading of a checkpoint: what is damaged, lacks something or has it in another
    shape is an InvalidInputError of one line.
    """
    try:
        yield
    except _UNFIT as error:
        # The first sentence: torch's next one advises to trust the file.
        reason = f"{type(error).__name__}: {error}".splitlines()[0].partition(". ")[0].rstrip(": ")
        raise InvalidInputError(
            f"{path} is damaged or does not fit this version ({reason}): begin in another --work"
        ) from error
