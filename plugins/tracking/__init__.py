"""Pure tracking: boxes and embeddings in, identities and floor positions out. In flow order:

===================== ==============================================================
``tracker.py``        the whole: ``associate``, ``identify``, ``snapshot``, ``restore``
``tracklets.py``      boxes of one camera over time (``kalman.py``, ``assignment.py``)
``crops.py``          which tracklets deserve an embedding now
``standing.py``       from a box to a place on the floor and a height
``identities.py``     who is who, once per set, in three stages:
``settling.py``       tracklets to people who are where they stand (``matching.py``)
``births.py``         the others are recognised (``recognition.py``, ``gallery.py``) or new
``merging.py``        people known twice become one
``people.py``         where each person is (``trajectories.py``)
``results.py``        what comes out
``parameters.py``     what may be tuned
===================== ==============================================================

Media time only: no clock, no log, no settings read, no randomness in here.
"""

from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.results import IdentityDecision, PersonPosition, SetResult
from plugins.tracking.tracker import Tracker

__all__ = ["IdentityDecision", "PersonPosition", "SetResult", "Tracker", "TrackingParameters"]
