"""Detectors side by side: on random scenes, on the demo's, on real footage, and by speed."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2

from homography.environment import Environment
from training.detection.held_out import (
    Held,
    environment_scenes,
    lab_frames,
    random_scenes,
)
from training.detection.scoring import Answer, scored
from training.detection.served import (
    ServedDetector,
    frames_per_second,
    frames_per_second_abreast,
    open_detectors,
)
from training.detection.tables import Report, Table, as_markdown

THRESHOLD = 0.3
"""Boxes with this score and more count in recall and precision."""
SURE = 0.5
"""Where the tracker takes a box for a new person; the second table of real footage."""
THREADS = 2


def evaluate(
    bundled: Path,
    environment: Environment,
    work: Path,
    test_data: Path | None,
    tell: Callable[[str], None],
) -> Report:
    """Measures the ONNX file ``bundled`` and, where ``test_data`` is given, the open models beside
    it and all of them on real footage. ``tell`` is told each table as soon as it is there.
    """
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        models = [ServedDetector.load("bundled", bundled, THREADS)]
        if test_data is not None:
            models += open_detectors(test_data / "models", Path(folder), THREADS)
        found = list(_tables(models, environment, work, test_data, tell))
        frames = [held.frame for held in random_scenes(range(1_000_000, 1_000_005))]
        speeds = tuple(
            (
                model.name,
                frames_per_second(model, frames),
                frames_per_second_abreast(model, frames, THREADS),
            )
            for model in models
        )
    for name, one, two in speeds:
        tell(f"{name}: {one:.0f} frames/s one at a time, {two:.0f} with {THREADS} under way")
    return Report(tuple(found), speeds)


def table(
    title: str,
    models: Sequence[ServedDetector],
    pictures: Iterable[Held],
    threshold: float = THRESHOLD,
) -> Table:
    """Asks every model about every picture."""
    answers: list[list[Answer]] = [[] for _ in models]
    for held in pictures:
        for k, model in enumerate(models):
            found = model.detect(held.frame)
            truth = held.wanted_xyxy, held.ignored_xyxy
            answers[k].append(Answer(found.boxes_xyxy, found.scores, *truth))
    rows = tuple(
        (model.name, scored(own, threshold)) for model, own in zip(models, answers, strict=True)
    )
    return Table(title, len(answers[0]), rows)


def _tables(
    models: Sequence[ServedDetector],
    environment: Environment,
    work: Path,
    test_data: Path | None,
    tell: Callable[[str], None],
) -> Iterable[Table]:
    demo = f"scenes of {environment.environment_id}"
    sets: list[tuple[str, Iterable[Held], float]] = [
        (demo, environment_scenes(environment, work), THRESHOLD),
        ("random scenes", random_scenes(), THRESHOLD),
    ]
    if test_data is not None:
        real = list(lab_frames(test_data / "lab4", models[1:]))
        sets.append(("real footage", real, THRESHOLD))
        sets.append((f"real footage, score {SURE} and more", real, SURE))
    for title, pictures, threshold in sets:
        one = table(title, models, pictures, threshold)
        tell(as_markdown(one) + "\n")
        yield one
