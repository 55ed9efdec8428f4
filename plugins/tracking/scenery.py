"""Whom a camera cannot see because something in the room stands before them.

Nobody tells the tracker where shelves stand. Whether a thing hides a person from a camera is a
state that lasts (a Markov chain of two states, filtered): the first boxes missed say that the
person may not exist, the tenth in a row says that something hides them. How often that is so is
learnt for each square metre of the floor from people who surely exist.
"""

from dataclasses import dataclass, field

import numpy as np

from plugins.tracking.camera_plane import BoolArray, FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person
from plugins.tracking.sight import Visibility

_CELL_M = 1.0
# For so long people must have been watched in a cell, or anywhere, to weigh as much as what was
# thought before: of the whole floor, or by default.
_CELL_S, _FLOOR_S = 5.0, 20.0
_RAREST, _MOST_USUAL = 0.003, 0.97
_MOST_SURELY = 0.98
_WHOLLY_INSIDE = 0.95

Cell = tuple[int, int]


def cells_of(people: list[Person]) -> list[Cell]:
    """Where on the floor each stands."""
    return [(int(p.mean[0] // _CELL_M), int(p.mean[1] // _CELL_M)) for p in people]


@dataclass(slots=True)
class Scenery:
    """One camera's: for how many seconds people stood in a cell of the floor, and for how many of
    these something hid them; the same of all cells together.
    """

    camera_id: str
    cells: dict[Cell, tuple[float, float]] = field(default_factory=dict)
    watched_s: float = 0.0
    hidden_s: float = 0.0

    def behind(
        self, people: list[Person], cells: list[Cell], dt_s: float, parameters: TrackingParameters
    ) -> FloatArray:
        """The chance (N,) that something hides each of the people now: what it was ``dt_s`` ago,
        on its way to what is usual in their ``cells``, the sooner the faster they walk.
        """
        usual = self._usual(cells, parameters)
        before = np.array([p.behind.get(self.camera_id, np.nan) for p in people])
        speed = np.hypot(*np.reshape([p.mean[4:] for p in people], (-1, 2)).T)
        stays = np.exp(-dt_s * (1.0 / parameters.behind_s + speed / parameters.behind_m))
        return np.where(np.isnan(before), usual, usual + (before - usual) * stays)

    def learn(
        self,
        people: list[Person],
        cells: list[Cell],
        seen: Visibility,
        has_box: BoolArray,
        *,
        is_sure: BoolArray,
        dt_s: float,
        parameters: TrackingParameters,
    ) -> None:
        """Takes in which of the people (N) the camera has found, and who of them surely exists."""
        in_sight = (seen.detection / (1.0 - seen.behind)).clip(0.0, _MOST_SURELY)
        share = min(1.0, dt_s / parameters.existence_s)
        odds = seen.behind / (1.0 - seen.behind) * (1.0 - in_sight) ** -share
        behind = np.where(has_box, _RAREST, np.minimum(odds / (1.0 + odds), _MOST_SURELY))
        # Whoever stands behind others or half outside does not tell what things hide.
        tells = is_sure & (seen.inside > _WHOLLY_INSIDE)
        watched_s = np.where(tells, dt_s * (1.0 - seen.hidden), 0.0)
        told = zip(people, cells, behind.tolist(), watched_s.tolist(), strict=True)
        for person, cell, chance, seconds in told:
            person.behind[self.camera_id] = chance
            if seconds > 0.0:
                self._count(cell, seconds, chance * seconds)

    def _usual(self, cells: list[Cell], parameters: TrackingParameters) -> FloatArray:
        """The chance (N,) that somebody in each cell is hidden, whoever it is."""
        share = self.hidden_s + _FLOOR_S * parameters.behind_share
        everywhere = share / (self.watched_s + _FLOOR_S)
        counts = np.array([self.cells.get(cell, (0.0, 0.0)) for cell in cells]).reshape(-1, 2)
        usual = (counts[:, 1] + _CELL_S * everywhere) / (counts[:, 0] + _CELL_S)
        return np.asarray(usual.clip(_RAREST, _MOST_USUAL))

    def _count(self, cell: Cell, watched_s: float, hidden_s: float) -> None:
        before = self.cells.get(cell, (0.0, 0.0))
        self.cells[cell] = before[0] + watched_s, before[1] + hidden_s
        self.watched_s += watched_s
        self.hidden_s += hidden_s
