"""Puts an installed version in charge of its model while requests go on, and back.

Triton loads the new version beside the old one and then turns to it, so no request fails. Before
it is kept, the new version has to answer a canary; whatever goes wrong, the old one serves again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tritonclient.utils import InferenceServerException

from plugins.errors import InvalidInputError, InvalidModelError, SpotOnError
from plugins.inference.model_check import sample_pictures
from plugins.inference.model_import import (
    input_size,
    installed_versions,
    serving_version,
)
from plugins.inference.serving import (
    add_to_history,
    config_files,
    read_history,
    version_before,
    write_policy,
    write_whole,
)
from plugins.inference.supervision import served_counts
from plugins.inference.triton_client import Array, Triton
from plugins.inference.warmup import write_warmups

CANARY_BATCHES = (1, 4)
MOST_FAILURES = 0.05
LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Promotion:
    """What serves now, and what did before; ``is_loaded`` is False where no Triton runs, and the
    version serves from its next start on.
    """

    model: str
    version: int
    before: int | None
    is_loaded: bool


def promote(
    repository: Path,
    model: str,
    version: int,
    triton: Triton | None,
    *,
    watch_s: float = 0.0,
    engine: str = "model.onnx",
) -> Promotion:
    """Pins ``model`` to ``version`` and has Triton load it; None for no Triton.

    After the canary, requests are watched for ``watch_s`` seconds: when more than 5 % fail, or
    anything else goes wrong, the version before serves again and InvalidModelError says why.
    """
    folder = repository / model
    _require(folder, version, engine)
    before = _serving(folder, triton)
    _turn_to(folder, version, before, triton, watch_s)
    add_to_history(folder, version, before)
    return Promotion(model, version, before, triton is not None)


def rollback(
    repository: Path,
    model: str,
    triton: Triton | None,
    *,
    to: int | None = None,
    engine: str = "model.onnx",
) -> Promotion:
    """Back to what served before the promotion, or to version ``to``."""
    folder = repository / model
    serving = _serving(folder, triton)
    target = to
    if target is None and serving is not None:
        target = version_before(read_history(folder), serving)
    if target is None:
        raise InvalidInputError(
            f"nothing was promoted before version {serving} of {model}: name one of "
            f"{_installed(folder)} with --to"
        )
    _require(folder, target, engine)
    _turn_to(folder, target, serving, triton, 0.0)
    add_to_history(folder, target, serving, is_rollback=True)
    return Promotion(model, target, serving, triton is not None)


def _turn_to(
    folder: Path, version: int, before: int | None, triton: Triton | None, watch_s: float
) -> None:
    """Writes the configurations and loads them; on failure ``before`` serves as it did."""
    texts = {path: path.read_text("utf-8") for path in config_files(folder)}
    try:
        _pin(folder, version)
        if triton is not None:
            triton.load(folder.name)
            canary(triton, folder.name, version)
            _watch(triton, folder.name, watch_s)
    except BaseException as error:
        for path, text in texts.items():
            write_whole(path, text)
        # Where the newest would serve, that may be the very version that has just failed.
        if before is not None and serving_version(folder) != folder / str(before):
            _pin(folder, before)
        if triton is not None:
            _restore(triton, folder.name, error)
        raise


def _pin(folder: Path, version: int) -> None:
    write_policy(folder, version)
    write_warmups(folder, input_size(folder / str(version)))


def _serving(folder: Path, triton: Triton | None) -> int | None:
    """The version that answers now, as Triton says; without it, as the configurations say."""
    if triton is not None and (loaded := triton.versions(folder.name)):
        return max(loaded)
    version = serving_version(folder)
    return int(version.name) if version else None


def _restore(triton: Triton, model: str, error: BaseException) -> None:
    try:
        triton.load(model)
    except SpotOnError as second:
        error.add_note(f"going back failed as well: {second}")


def canary(triton: Triton, model: str, version: int) -> None:
    """Some pictures through the version that Triton now serves; InvalidModelError if it serves
    another, or the answers are not what the contract says.
    """
    session = triton.session(model, max(CANARY_BATCHES))
    try:
        for count in CANARY_BATCHES:
            pictures = sample_pictures(session.served.size_hw, count)
            answer = session.run(count, _drawing(pictures))
            _require_sound(model, answer, count)
        served = session.model_version.split("/")[1]
    finally:
        triton.end(session)
    if served != str(version):
        raise InvalidModelError(
            f"Triton at {triton.url} serves version {served} of {model}, not {version}: it reads "
            "another model repository, or another --model-config-name, than SPOTON_MODEL_REPOSITORY"
        )


def _drawing(pictures: Array) -> Callable[[Array], None]:
    def draw(pixels: Array) -> None:
        np.copyto(pixels, pictures)

    return draw


def _require_sound(model: str, answer: dict[str, Array], count: int) -> None:
    if any(len(values) != count or not np.isfinite(values).all() for values in answer.values()):
        raise InvalidModelError(f"the canary of {model} answers with numbers that are not finite")
    if model == "person_reid":
        lengths = np.linalg.norm(np.asarray(answer["embeddings"], np.float32), axis=1)
        if not np.allclose(lengths, 1, atol=1e-2):
            raise InvalidModelError(f"the canary's embeddings have lengths {lengths}, not 1")


def _watch(triton: Triton, model: str, seconds: float) -> None:
    """Counts the new version's failures, which begin at zero with its load."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        try:
            with triton.client() as client:
                served, failed = served_counts(client, model)
        except InferenceServerException as error:
            raise triton.unavailable(model, error) from error
        if failed > MOST_FAILURES * (served + failed):
            raise InvalidModelError(
                f"{failed} of {served + failed} requests of {model} failed after the promotion; "
                "the version before serves again"
            )


def _require(folder: Path, version: int, engine: str) -> None:
    versions = _installed(folder)
    if str(version) not in versions:
        raise InvalidInputError(
            f"{folder} has no version {version}; there are: {', '.join(versions) or 'none'}"
        )
    if not (folder / str(version) / engine).is_file():
        raise InvalidInputError(
            f"version {version} of {folder.name} has no {engine}, which this profile serves: build "
            "it with `spoton models build`"
        )


def _installed(folder: Path) -> list[str]:
    return [path.name for path in installed_versions(folder)]
