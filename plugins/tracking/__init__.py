"""Pure tracking: boxes and embeddings in, identities and floor positions out. In flow order:

===================== ==============================================================
``tracker.py``        the whole: ``associate``, ``identify``, ``finish``, ``snapshot``
``tracklets.py``      boxes of one camera over time (``assignment.py``)
``crops.py``          which tracklets deserve an embedding now
``standing.py``       from one box alone to a place on the floor and a height
``identities.py``     who is who, once per set, in these stages:
``settling.py``       the boxes of all cameras to the people known (``joint.py``, ``sight.py``),
                      given whom each tracklet showed before (``matching.py``)
``unmixing.py``       boxes of people who pass, dealt out crossed, are put right
``evidence.py``       who exists, how each camera errs and how often it detects people
``exchanges.py``      people who met were exchanged after all (``swaps.py``)
``merging.py``        people known twice become one
``births.py``         the others are recognised (``recognition.py``, ``gallery.py``) or new
``returning.py``      new people who must be lost ones, by place, time and size
``verifying.py``      people who look like others after all become those
``people.py``         where each person is (``trajectories.py``, ``kalman.py``)
``lag.py``            sets wait for corrections, then are settled
``showing.py``        what is shown of the set, boxes put right by where their people stand
                      (``outlines.py``)
``results.py``        what comes out
``parameters.py``     what may be tuned
===================== ==============================================================

Media time only: no clock, no log, no settings read, no randomness in here.
"""

from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.results import IdentityDecision, PersonPosition, SetResult, SettledSet
from plugins.tracking.tracker import Tracker

__all__ = [
    "IdentityDecision",
    "PersonPosition",
    "SetResult",
    "SettledSet",
    "Tracker",
    "TrackingParameters",
]
