"""The model card that lies beside the bundled embedder."""

from plugins.tracking.parameters import TrackingParameters
from training.reidentification.evaluate import CALIBRATION_SCENES, TEST_SCENES, Report, as_markdown
from training.reidentification.record import Trained

_TEXT = """\
# Bundled person embedder

A small residual network for `person_reid`: crops of people, uint8 RGB 128 x 64, to vectors of
160 numbers of length 1. {parameters:,} parameters. Made with `make train-embedder`; how it works is
in docs/training.md.

## Data

{crops:,} crops of {people:,} made-up people in {scenes} rendered rooms of four cameras each
(`training/reidentification/crops.py`, seeds 0 to {last_scene}); every second person is dressed like
another. No picture of a real person was used, in training or in choosing anything.

## Recipe

Weights begin at random (seed {seed}). {step:,} of {steps:,} planned steps of {batch} crops took
{minutes:.0f} minutes of training on {machine} with torch {torch}, while other work shared the
machine. Supervised contrastive loss (Khosla et al. 2020) and large-margin cosine loss (Wang et al.
2018); AdamW; the exported weights are their moving average.

The export moves all cosines c to {shift:.3f} + {rest:.3f} c. Their order stays; as many pairs of
one person then lie below {middle:g} as pairs of two people above, on the scenes with seeds
{chosen_on}. {middle:g} is the middle of the tracker's `different_cosine` {different:g} and
`same_cosine` {same:g}.

## Measured

Rendered: scenes of the demo with seeds {tested_on}, whose people, clothes and moments took
no part in training or in setting the cosines. Each crop of a person at least half visible is looked
up among the crops of the other cameras; pairs are of two cameras. Real: four cameras of a
laboratory, boxes of a detector, two people. Open models are adapted by `spoton models import`. The
machine was busy with other work; the speeds compare the models, no more.

{tables}

## Limits

- It has seen rendered people only. On real recordings it is no match for a model that was trained
  on real people, and cosines of two people are far too high for the tracker's thresholds: people
  would be taken for each other. Import another model for real recordings (docs/models.md).
- It knows people by clothes, hair and bags. Whoever changes those is somebody else to it, and
  people dressed alike from head to foot are one.
- Crops are expected upright and whole or nearly so; vectors of crops that show less than a third of
  a person mean little.
- It was not tested for differences between groups of people.

## Licence

Apache-2.0, as the rest of the project. No foreign weights, no foreign pictures.
"""


def model_card(trained: Trained, shift: float, report: Report) -> str:
    """As Markdown; ``report`` is of the installed model."""
    limits, run = TrackingParameters(), trained.run
    return _TEXT.format(
        parameters=trained.parameters,
        crops=run.crops,
        people=run.people,
        scenes=run.scenes,
        last_scene=run.scenes - 1,
        seed=run.recipe.seed,
        step=trained.step,
        steps=run.recipe.steps,
        batch=run.recipe.people * 4,
        minutes=trained.seconds / 60,
        machine=trained.machine,
        torch=trained.torch,
        shift=shift,
        rest=1 - shift,
        same=limits.same_cosine,
        different=limits.different_cosine,
        middle=(limits.same_cosine + limits.different_cosine) / 2,
        chosen_on=_seeds(CALIBRATION_SCENES),
        tested_on=_seeds(TEST_SCENES),
        tables=as_markdown(report),
    )


def _seeds(scenes: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(str(seed) for seed, _ in scenes)
