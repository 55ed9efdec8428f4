"""Installs the trained embedder as version 1 of ``model_repository/person_reid``, with its card."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import onnx
import onnxruntime

from homography.environment import Environment
from plugins.inference.model_check import check_embedder
from plugins.inference.model_import import MODEL_FILE, RECORD_FILE, ModelRecord
from plugins.tracking.parameters import TrackingParameters
from training.reidentification.calibration import (
    Floats,
    fitting_shift,
    odds_cosines,
    shifted,
)
from training.reidentification.card import model_card
from training.reidentification.evaluate import (
    CALIBRATION_SCENES,
    as_markdown,
    evaluate,
    rendered_gallery,
)
from training.reidentification.metrics import pair_cosines
from training.reidentification.models import Model
from training.reidentification.record import EXPORTED, read_trained

CARD_FILE = "CARD.md"


def bundle(
    work: Path,
    repository: Path,
    demo: Environment,
    test_data: Path | None,
    tell: Callable[[str], None],
) -> Path:
    """Installs what was exported into ``work``; returns the ONNX file.

    Cosines are moved so that as many pairs of one person lie below the middle of the tracker's two
    thresholds as pairs of two people above, on scenes kept for that; what they mean then is fitted
    on the same pairs and goes into its record. Scores go onto its card.
    """
    trained, plain = read_trained(work), work / EXPORTED
    path = repository / "person_reid" / "1" / MODEL_FILE
    same, different = _pairs(Model("plain", plain), work, demo)
    limits, length = TrackingParameters(), Model("plain", plain).dimension()
    shift = fitting_shift(same, different, (limits.same_cosine + limits.different_cosine) / 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(shifted(onnx.load(plain), length, shift), path)
    check_embedder(onnxruntime.InferenceSession(str(path)))
    meant = odds_cosines(*(shift + (1 - shift) * cosines for cosines in (same, different)))
    _write_record(path, meant)
    report = evaluate(path, demo, work, test_data)
    card = model_card(trained, shift, report)
    (path.parent / CARD_FILE).write_text(card, encoding="utf-8")
    tell(f"{path}: shift {shift:.3f}\n\n{as_markdown(report)}")
    return path


def _pairs(model: Model, work: Path, demo: Environment) -> tuple[Floats, Floats]:
    """Cosines of pairs that show one person, and two."""
    scenes = rendered_gallery(demo, CALIBRATION_SCENES, work, [model.size])
    return pair_cosines(model.embed(scenes.pixels[model.size]), scenes.labels)


def _write_record(path: Path, meant: tuple[float, float]) -> None:
    height, width = Model("bundled", path).size
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    record = ModelRecord(
        model="person_reid",
        layout="spoton",
        source_name="training/reidentification",
        source_sha256=sha256,
        sha256=sha256,
        size=(height, width),
        labels=[],
        score_floor=0.0,
        iou_threshold=0.0,
        imported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        same_cosine=round(meant[0], 2),
        different_cosine=round(meant[1], 2),
    )
    (path.parent / RECORD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
