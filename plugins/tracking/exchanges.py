"""Exchanges two people whose other story (``swaps.py``) has become the likelier one.

Boxes alone do not exchange people who can be told apart by looks: those must have spoken, too.
"""

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking.identity_state import IdentityState
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person
from plugins.tracking.results import IdentityDecision
from plugins.tracking.swaps import Story


def exchange(state: IdentityState, parameters: TrackingParameters) -> list[IdentityDecision]:
    """Exchanges the people whose other story has become the likelier one."""
    decisions: list[IdentityDecision] = []
    for pair, story in sorted(state.stories.items(), key=lambda each: -each[1].log_odds):
        if story.log_odds < parameters.swap_evidence or state.stories.get(pair) is not story:
            continue
        if state.can_tell_apart(pair, parameters) and story.look_odds < parameters.swap_evidence:
            continue
        a, b = (state.people.persons[n] for n in pair)
        decisions += [_corrected(state, a, b, story), _corrected(state, b, a, story)]
        back = np.stack([a.mean, b.mean]), np.stack([a.cov, b.cov])
        state.exchange(a, b)
        for person, mean, cov in zip((a, b), story.mean, story.cov, strict=True):
            person.mean, person.cov = mean, cov
        state.stories[pair] = Story(pair, story.since_ns, *back, -story.log_odds, -story.look_odds)
    return decisions


def _corrected(state: IdentityState, a: Person, b: Person, story: Story) -> IdentityDecision:
    """What was taken for ``a`` is ``b``."""
    camera_id, track_id = state.seen_by(a.number)
    return IdentityDecision(
        camera_id=camera_id,
        track_id=track_id,
        global_id=b.global_id,
        other_global_id=a.global_id,
        verdict="corrected",
        metres=float(np.linalg.norm(a.mean[:2] - b.mean[:2])),
        seconds=(state.time_ns - story.since_ns) / NS_PER_S,
        log_likelihood=story.log_odds,
        reason="the two were exchanged when they met: ways, sizes and looks fit better so",
    )
