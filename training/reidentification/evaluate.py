"""Scores the bundled embedder, and open ones beside it, on the same crops."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from homography.environment import Environment
from plugins.tracking.parameters import TrackingParameters
from training.reidentification.gallery import Gallery, SizeHW, joined, lab_gallery, scene_gallery
from training.reidentification.metrics import Scores, score
from training.reidentification.models import Model, open_models
from training.simulate import Order, simulate

TEST_SCENES = ((7001, 8), (7002, 12), (7003, 16))
"""Seed and number of people of each scene: 20 s that nothing was trained or chosen on."""
CALIBRATION_SCENES = ((8001, 12), (8002, 16))
"""As above, for the export's shift."""
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Row:
    """One model's scores on some crops."""

    model: str
    scores: Scores


@dataclass(frozen=True, slots=True)
class Report:
    """The same models on rendered and on real crops; ``real`` is empty without recordings.
    ``crops_per_s`` is by model, in batches of 16 on two threads.
    """

    rendered: list[Row]
    real: list[Row]
    crops_per_s: dict[str, float]


def evaluate(model: Path, environment: Environment, work: Path, test_data: Path | None) -> Report:
    """Of the file ``model`` and the open models in ``test_data``: ``models/``, ``lab4/``.

    Scenes are rendered below ``work``, once. Raises InvalidModelError where ``model`` is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        models = [Model("bundled", model)]
        if test_data is not None:
            models += open_models(test_data / "models", Path(folder))
        sizes = sorted({each.size for each in models})
        rendered = rows(models, rendered_gallery(environment, TEST_SCENES, work, sizes))
        real = rows(models, lab_gallery(test_data / "lab4", sizes)) if test_data else []
        speeds = {each.name: each.crops_per_s() for each in models}
    return Report(rendered, real, speeds)


def rendered_gallery(
    environment: Environment,
    scenes: Sequence[tuple[int, int]],
    folder: Path,
    sizes: Sequence[SizeHW],
) -> Gallery:
    """Renders the scenes below ``folder``, once, and cuts out their people."""
    parts = []
    for seed, people in scenes:
        order = Order(environment, seed, people, _SECONDS, folder / f"scene-{seed}")
        simulate(order)
        parts.append(scene_gallery(order.out, environment, sizes))
    return joined(parts)


def rows(models: Sequence[Model], gallery: Gallery) -> list[Row]:
    """One for each model."""
    limits = TrackingParameters()
    thresholds = limits.same_cosine, limits.different_cosine
    return [
        Row(each.name, score(each.embed(gallery.pixels[each.size]), gallery.labels, thresholds))
        for each in models
    ]


def as_markdown(report: Report) -> str:
    """Its tables, each with a line that says what was scored."""
    queries = report.rendered[0].scores.queries
    parts = [f"Rendered scenes of unseen people, {queries:,} crops:", _table(report.rendered)]
    if report.real:
        queries = report.real[0].scores.queries
        parts += [f"Real recordings of two walkers, {queries:,} crops:", _table(report.real)]
    else:
        parts.append("Real recordings were not at hand.")
    return "\n\n".join([*parts, _speeds(report)])


def _table(found: Sequence[Row]) -> str:
    limits = TrackingParameters()
    same, different = f"{limits.same_cosine:g}", f"{limits.different_cosine:g}"
    head = (
        "| model | rank-1 | mAP | one person: median, 5 % below | two: median, 1 % above "
        f"| one >= {same} | one < {different} | two >= {same} | two < {different} |"
    )
    return "\n".join([head, "|" + " --- |" * 9, *(_line(row) for row in found)])


def _line(row: Row) -> str:
    s = row.scores
    return (
        f"| {row.model} | {s.rank1:.3f} | {s.mean_ap:.3f} | {s.same_median:.2f}, {s.same_p05:.2f} "
        f"| {s.different_median:.2f}, {s.different_p99:.2f} | {s.confirmed:.3f} | {s.missed:.3f} "
        f"| {s.confused:.4f} | {s.kept_apart:.3f} |"
    )


def _speeds(report: Report) -> str:
    lines = [f"| {name} | {speed:.0f} |" for name, speed in report.crops_per_s.items()]
    return "\n".join(["| model | crops/s, 16 at a time, two threads |", "| --- | --- |", *lines])
