"""All scores of one evaluation, in the form of ``--json``."""

from collections.abc import Iterator, Mapping

import msgspec

from plugins.evaluation.footage import NOBODY, Footage, NamedBoxes
from plugins.evaluation.methods import Answers, Found
from plugins.evaluation.scores import Moment, Scores, floor_moment, score, view_moment


class MethodScores(
    msgspec.Struct,
    frozen=True,
    rename={
        "ground_half": "ground_0.5m",
        "ground_one": "ground_1.0m",
        "ground_half_lagged": "ground_0.5m_lagged",
        "ground_one_lagged": "ground_1.0m_lagged",
    },
):
    """Scores of one method: each camera alone, all views with ids shared by them, and people on
    the floor, matched within half a metre and one metre. ``lagged`` ones are those of settled
    sets. What the data has no truth for is None.
    """

    cameras: dict[str, Scores | None] | None
    cross_camera: Scores | None
    cross_camera_lagged: Scores | None
    ground_half: Scores | None
    ground_one: Scores | None
    ground_half_lagged: Scores | None
    ground_one_lagged: Scores | None


def method_scores(footage: Footage, answers: Answers) -> MethodScores:
    """Everything that can be scored."""
    online, lagged = answers.online, answers.lagged
    return MethodScores(
        cameras=_camera_scores(footage, online),
        cross_camera=_cross_camera(footage, online),
        cross_camera_lagged=_cross_camera(footage, lagged),
        ground_half=ground_scores(footage, online, 0.5),
        ground_one=ground_scores(footage, online, 1.0),
        ground_half_lagged=ground_scores(footage, lagged, 0.5),
        ground_one_lagged=ground_scores(footage, lagged, 1.0),
    )


def _camera_scores(footage: Footage, found: Found) -> dict[str, Scores | None] | None:
    views = footage.truth.views
    if views is None:
        return None
    return {c: score(list(_moments(footage, view, c, found))) for c, view in sorted(views.items())}


def _cross_camera(footage: Footage, found: Found | None) -> Scores | None:
    """The views one after the other as a single sequence, with ids shared by all."""
    views = footage.truth.views
    if views is None or found is None:
        return None
    return score(
        [m for c, view in sorted(views.items()) for m in _moments(footage, view, c, found)]
    )


def _moments(
    footage: Footage, view: Mapping[int, NamedBoxes], camera_id: str, found: Found
) -> Iterator[Moment]:
    own = found.views.get(camera_id, {})
    for frame, true in sorted(view.items()):
        yield view_moment(
            true, own.get(frame, NOBODY), lists_everybody=footage.truth.lists_everybody
        )


def ground_scores(footage: Footage, found: Found | None, within_m: float) -> Scores | None:
    """People on the floor, frame by frame."""
    truth = footage.truth
    if truth.floor is None or found is None:
        return None
    return score(
        [
            floor_moment(
                places,
                found.floor.get(frame, {}),
                within_m,
                area=footage.area,
                unscored=truth.unscored.get(frame, frozenset()),
                lists_everybody=truth.lists_everybody,
            )
            for frame, places in sorted(truth.floor.items())
        ]
    )
