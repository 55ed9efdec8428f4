"""What was measured, and as text."""

from dataclasses import dataclass

from training.detection.scoring import Score


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` are a model's name and its scores on the same ``pictures``."""

    title: str
    pictures: int
    rows: tuple[tuple[str, Score], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """``frames_per_s`` of each model: of the fastest of sixty 720p frames on two threads, one at a
    time; and of the best second with two under way, one thread each.
    """

    tables: tuple[Table, ...]
    frames_per_s: tuple[tuple[str, float, float], ...]


def as_markdown(one: Table) -> str:
    """The table with its title."""
    head = f"| {one.title}, {one.pictures} frames | AP50 | recall | precision |"
    lines = [head, "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {score.ap50:.3f} | {score.recall:.3f} | {score.precision:.3f} |"
        for name, score in one.rows
    ]
    return "\n".join(lines)
