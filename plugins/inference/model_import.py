"""Brings a foreign ONNX file into ``model_repository`` as the next version of a model.

Adapted by its layout, checked by inference against the untouched source, then moved in by one
rename: a server that looks at the repository meanwhile sees the version whole or not at all.
"""

import copy
import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
import onnx

from plugins.errors import InvalidInputError, InvalidModelError
from plugins.inference.detection_graph import IOU_THRESHOLD, SCORE_FLOOR
from plugins.inference.graph_surgery import dims_of, real_inputs, require_opset
from plugins.inference.layouts import layout_for
from plugins.inference.layouts.base import Answer, Layout, ModelName, Picture, SizeHW
from plugins.inference.model_check import (
    check_detector,
    check_embedder,
    compare_boxes,
    compare_vectors,
    first_line,
    open_session,
    run,
    sample_pictures,
    suppress,
)
from plugins.inference.serving import pinned_version
from plugins.inference.warmup import write_warmups

MODELS: tuple[ModelName, ...] = get_args(ModelName)
MODEL_FILE = "model.onnx"
ENGINE_FILES = (MODEL_FILE, "model.plan")
RECORD_FILE = "model.json"
STAGING = ".staging"
# By layout, ``same_cosine`` and ``different_cosine`` as measured (docs/models.md).
COSINES: dict[str, tuple[float, float]] = {"osnet": (0.70, 0.48)}


class ModelRecord(msgspec.Struct, frozen=True):
    """``model.json`` beside an installed model: where it came from. ``size`` is height, width.

    Of an embedder, ``same_cosine`` and ``different_cosine`` say where the odds that two crops show
    one person are nine to one and one to nine; None where nobody measured.
    """

    model: ModelName
    layout: str
    source_name: str
    source_sha256: str
    sha256: str
    size: tuple[int, int]
    labels: list[str]
    score_floor: float
    iou_threshold: float
    imported_at: str
    same_cosine: float | None = None
    different_cosine: float | None = None


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """One version in the repository; ``record`` is None where nobody wrote a ``model.json``."""

    model: str
    version: int
    path: Path
    sha256: str
    record: ModelRecord | None


def import_model(
    source: Path,
    model: ModelName,
    layout: str,
    repository: Path,
    size: SizeHW | None = None,
) -> ImportedModel:
    """Adapt, check and install ``source`` as the next version of ``model``.

    ``size`` is the input's (height, width) where the layout lets one choose. Raises
    InvalidModelError, naming the file, if it is no ONNX file, has not got the layout's shape,
    or answers differently after the adaptation; the repository is then as it was.
    """
    try:
        rules = layout_for(layout, model)
        original = read_onnx(source)
        size_hw = rules.choose_size(original, size)
        adapted = _adapt(rules, original, size_hw, SCORE_FLOOR)
        _check(rules, original, adapted, size_hw)
    except InvalidModelError as error:
        raise InvalidModelError(f"{source}: {error}") from error
    content = adapted.SerializeToString()
    record = ModelRecord(
        model=model,
        layout=layout,
        source_name=source.name,
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        size=size_hw,
        labels=["person"] if model == "person_detector" else [],
        score_floor=SCORE_FLOOR if model == "person_detector" else 0.0,
        iou_threshold=IOU_THRESHOLD if model == "person_detector" else 0.0,
        imported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        same_cosine=COSINES.get(layout, (None, None))[0],
        different_cosine=COSINES.get(layout, (None, None))[1],
    )
    return _install(repository, record, content)


def read_onnx(path: Path) -> onnx.ModelProto:
    """The file as an ONNX model with one picture input; InvalidModelError if it is none."""
    if not path.is_file():
        raise InvalidModelError("there is no such file")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, onnx and numpy each raise their own
        raise InvalidModelError(
            f"is not a readable ONNX model ({first_line(error)}): download or export it again"
        ) from error
    inputs = real_inputs(model)
    if len(inputs) != 1:
        raise InvalidModelError(f"the model has {len(inputs)} inputs, one picture is expected")
    require_opset(model)
    return model


def list_models(repository: Path) -> list[ImportedModel]:
    """Every installed version of every model, oldest first."""
    if not repository.is_dir():
        raise InvalidInputError(f"{repository} is not a folder: name the model repository")
    folders = sorted(path for path in repository.iterdir() if (path / "config.pbtxt").is_file())
    return [
        _describe(folder.name, version)
        for folder in folders
        for version in installed_versions(folder)
    ]


def installed_versions(folder: Path) -> list[Path]:
    """Version folders of one model that hold a model file, in numerical order."""
    if not folder.is_dir():
        return []
    versions = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    filled = [path for path in versions if _engine_file(path) is not None]
    return sorted(filled, key=lambda path: int(path.name))


def serving_version(folder: Path) -> Path | None:
    """Version folder that serves from the next load on: the pinned one, else the newest."""
    pinned = pinned_version(folder)
    if pinned is not None:
        return folder / str(pinned)
    return next(reversed(installed_versions(folder)), None)


def warm_up_serving(folder: Path) -> None:
    """Writes the warm-up of the version that serves into the model's configurations."""
    version = serving_version(folder)
    write_warmups(folder, input_size(version) if version else None)


def input_size(version_folder: Path) -> SizeHW | None:
    """(height, width) of an installed engine; None for one that does not keep the contract, or
    whose folder has neither ``model.json`` nor ``model.onnx``.
    """
    record, path = read_record(version_folder), version_folder / MODEL_FILE
    if record is not None:
        return record.size
    try:
        (given,) = real_inputs(onnx.load(path, load_external_data=False))
    except Exception:  # noqa: BLE001  # a file that is no model: loading it will say why
        return None
    dims = dims_of(given)
    is_uint8 = given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    if not is_uint8 or len(dims) != 4 or dims[2] is None or dims[3] is None:
        return None
    return dims[2], dims[3]


def _engine_file(version_folder: Path) -> Path | None:
    candidates = (version_folder / name for name in ENGINE_FILES)
    return next((path for path in candidates if path.is_file()), None)


def read_record(version_folder: Path) -> ModelRecord | None:
    """The ``model.json`` of an installed version; None if absent or unreadable."""
    try:
        return msgspec.json.decode((version_folder / RECORD_FILE).read_bytes(), type=ModelRecord)
    except (OSError, msgspec.DecodeError):
        return None


def _adapt(
    rules: Layout, original: onnx.ModelProto, size_hw: SizeHW, score_floor: float
) -> onnx.ModelProto:
    adapted = copy.deepcopy(original)
    rules.adapt(adapted, size_hw, score_floor)
    return adapted


def _check(
    rules: Layout, original: onnx.ModelProto, adapted: onnx.ModelProto, size_hw: SizeHW
) -> None:
    session = open_session(adapted)
    if rules.model == "person_detector":
        check_detector(session)
        _compare_detector(rules, original, size_hw)
    else:
        embeddings = check_embedder(session)
        references = _references(rules, original, sample_pictures(size_hw))
        for (expected, _), found in zip(references, embeddings, strict=True):
            compare_vectors(expected, found, "before and after the adaptation")


def _compare_detector(rules: Layout, original: onnx.ModelProto, size_hw: SizeHW) -> None:
    """Made-up pictures hold nobody: compare the best candidates, however low their scores."""
    session = open_session(_adapt(rules, original, size_hw, 0.0))
    pictures = sample_pictures(size_hw)
    for picture, candidates in zip(pictures, _references(rules, original, pictures), strict=True):
        expected = suppress(*candidates)
        found = run(session, "images", picture[None])
        compare_boxes(
            expected, (found["boxes"][0], found["scores"][0]), "before and after the adaptation"
        )


def _references(rules: Layout, original: onnx.ModelProto, pictures: Picture) -> list[Answer]:
    try:
        return rules.reference(original, pictures)
    except InvalidModelError:
        raise
    except Exception as error:
        raise InvalidModelError(
            f"the file does not run as the layout {rules.name}: {first_line(error)}"
        ) from error


def _install(repository: Path, record: ModelRecord, content: bytes) -> ImportedModel:
    folder = repository / record.model
    if not (folder / "config.pbtxt").is_file():
        raise InvalidInputError(
            f"{folder} has no config.pbtxt: name the model repository, or copy the folder "
            f"{record.model} of the shipped one there"
        )
    staged = repository / STAGING / f"{record.model}-{os.getpid()}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        (staged / MODEL_FILE).write_bytes(content)
        (staged / RECORD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        target = _move_to_next_version(staged, folder)
        warm_up_serving(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        _remove_if_empty(staged.parent)
    return _describe(record.model, target)


def _move_to_next_version(staged: Path, folder: Path) -> Path:
    """Rename into place; another import may take the number first, then the next one is tried."""
    taken = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    version = max(taken, default=0) + 1
    while True:
        try:
            return staged.rename(folder / str(version))
        except OSError:
            if not (folder / str(version)).exists():
                raise
            version += 1


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _describe(model: str, version_folder: Path) -> ImportedModel:
    record = read_record(version_folder)
    path = _engine_file(version_folder) or version_folder / MODEL_FILE
    sha256 = record.sha256 if record else hashlib.sha256(path.read_bytes()).hexdigest()
    return ImportedModel(model, int(version_folder.name), path, sha256, record)
