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
from plugins.tracking.people import Person, stacked
from plugins.tracking.sight import Visibility

_CELL_M = 1.0
# For so long people must have been watched in a cell, or anywhere, to weigh as much as what was
# thought before: of the whole floor, or by default.
_CELL_S, _FLOOR_S = 5.0, 20.0
# No more than that is remembered of a cell, and of the whole floor: things are moved about.
_CELL_MEMORY_S, _FLOOR_MEMORY_S = 300.0, 3600.0
_RAREST, _MOST_USUAL = 0.003, 0.97
_MOST_SURELY = 0.98
_WHOLLY_INSIDE = 0.95

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """People (N), the cell of the floor that each stands in, and how much of what was known of who
    is hidden from whom ``stays`` (N,) known since the last set, the less the faster they walk.
    """

    people: list[Person]
    cells: list[Cell]
    stays: FloatArray

    @classmethod
    def of(cls, people: list[Person], dt_s: float, parameters: TrackingParameters) -> "Whereabouts":
        """``dt_s`` after the last set."""
        mean, _ = stacked(people)
        speed = np.hypot(mean[:, 4], mean[:, 5])
        stays = np.exp(-dt_s * (1.0 / parameters.behind_s + speed / parameters.behind_m))
        cells = np.floor(mean[:, :2] / _CELL_M).astype(int).tolist()
        return cls(people, [(x, y) for x, y in cells], stays)


@dataclass(slots=True)
class Scenery:
    """One camera's: for how many seconds people stood in a cell of the floor, and for how many of
    these something hid them; the same of all cells together.
    """

    camera_id: str
    cells: dict[Cell, tuple[float, float]] = field(default_factory=dict)
    watched_s: float = 0.0
    hidden_s: float = 0.0

    def behind(self, where: Whereabouts, parameters: TrackingParameters) -> FloatArray:
        """The chance (N,) that something hides each of the people now: what it was at the last set,
        on its way to what is usual where they stand.
        """
        usual = self._usual(where.cells, parameters)
        before = np.array([p.behind.get(self.camera_id, np.nan) for p in where.people])
        return np.where(np.isnan(before), usual, usual + (before - usual) * where.stays)

    def learn(
        self,
        where: Whereabouts,
        seen: Visibility,
        has_box: BoolArray,
        *,
        is_sure: BoolArray,
        dt_s: float,
        parameters: TrackingParameters,
    ) -> None:
        """Takes in which of the people (N) the camera has found, and who of them surely exists."""
        share = min(1.0, dt_s / parameters.existence_s)
        odds = seen.behind / (1.0 - seen.behind) * (1.0 - seen.in_sight) ** -share
        behind = np.where(has_box, _RAREST, np.minimum(odds / (1.0 + odds), _MOST_SURELY))
        # Whoever stands behind others or half outside does not tell what things hide.
        tells = is_sure & (seen.inside > _WHOLLY_INSIDE)
        watched_s = np.where(tells, dt_s * (1.0 - seen.hidden), 0.0)
        told = zip(where.people, where.cells, behind.tolist(), watched_s.tolist(), strict=True)
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
        watched, hidden = self.cells.get(cell, (0.0, 0.0))
        keep = min(1.0, _CELL_MEMORY_S / (watched + watched_s))
        self.cells[cell] = keep * (watched + watched_s), keep * (hidden + hidden_s)
        keep = min(1.0, _FLOOR_MEMORY_S / (self.watched_s + watched_s))
        self.watched_s = keep * (self.watched_s + watched_s)
        self.hidden_s = keep * (self.hidden_s + hidden_s)
