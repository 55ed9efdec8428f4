"""The model card that lies beside the bundled detector."""

from dataclasses import dataclass

from training.detection.tables import Report, as_markdown

MADE_FILE = "made.json"
CARD_FILE = "CARD.md"


@dataclass(frozen=True, slots=True)
class Made:
    """How the weights came about: ``seconds`` of training on ``machine``, ``start`` and
    ``teacher`` as in State.
    """

    pictures: int
    scenes: int
    steps: int
    samples: int
    seconds: float
    machine: str
    seed: int
    start: str
    teacher: str
    size_hw: tuple[int, int]
    parameters: int
    file_bytes: int


def _start(made: Made) -> str:
    """A row of its own where training went on from an older model, or learnt from one."""
    rows = [
        (made.start, "start | version 1 before it"),
        (made.teacher, "teacher | a wider network, thinned out"),
    ]
    return "".join(
        f"\n| {what}, SHA-256 {sha256[:12]}…; `docs/training.md` |"
        for sha256, what in rows
        if sha256
    )


def model_card(made: Made, report: Report) -> str:
    """Markdown."""
    height, width = made.size_hw
    tables = "\n\n".join(as_markdown(one) for one in report.tables)
    speeds = "\n".join(
        f"| {name} | {one:.0f} | {two:.0f} |" for name, one, two in report.frames_per_s
    )
    return f"""# person_detector, version 1

Finds people in pictures of fixed cameras indoors. One class, input {width}x{height}, the contract
of `docs/models.md`.

| | |
| --- | --- |
| network | residual, three strides, anchor-free head; {made.parameters:,} weights |
| file | {made.file_bytes / 1e6:.2f} MB |
| licence | Apache-2.0; weights trained by this project from random initialisation |
| data | rendered only: {made.pictures:,} pictures of {made.scenes:,} random scenes |
| training | {made.steps:,} steps, {made.samples:,} samples, seed {made.seed} |{_start(made)}
| time | {made.seconds / 60:.0f} min on {made.machine} |

No photograph, no recording and no foreign weights went into it. Rooms, colours, lights, cameras,
people, clothes and poses are made up (`training/randomised`); samples are zoomed, put together,
covered up and badly filmed (`training/detection/samples.py`).

## Measured

Boxes of people at least half of whom can be seen are wanted; less visible people do not count.
A box hits at an IoU of 0.5. Recall and precision are of boxes with a score of 0.3 and more
where nothing else is said; the tracker follows people from 0.15 on and begins at 0.5.

{tables}

On real footage the wanted boxes are those of the two listed walkers, made with RTMDet-nano; boxes
of other people whom one of the open models sees with a score of 0.3 do not count. Both flatter the
open models.

Frames a second on two cores, 720p frame in, boxes out:

| | one at a time, two threads, fastest of 60 | two at a time, best second |
| --- | --- | --- |
{speeds}

## Limits

- It learnt from rendered people. On real footage use an open model: `docs/models.md`.
- Boxes go around the whole person, also what furniture hides: the lower edge is then a guess.
- Cameras from 1.8 m to 5 m high, lenses of 48 to 108 degrees, people from 5 pixels wide up.
- Not meant for outdoors, night vision, thermal cameras, or views straight from above.
"""
