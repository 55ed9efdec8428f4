"""How a client that cannot keep up is given less: smaller pictures first, then fewer sets."""

from dataclasses import dataclass

from plugins.media.jpeg import reduce_jpeg
from plugins.wire import decode_set, encode_set

WINDOW_SETS = 10
TOO_MANY_LOST = 3
CLEAN_SETS = 50
LONGEST_PATIENCE_SETS = 3200
LARGEST_DIVISOR = 8


@dataclass(frozen=True, slots=True)
class Rung:
    """One quality: pictures ``factor`` times smaller in each direction, at this JPEG quality."""

    name: str
    factor: int
    quality: int


RUNGS = (Rung("full", 1, 0), Rung("half", 2, 65), Rung("quarter", 4, 60))  # full is as it came
NAMES = tuple(rung.name for rung in RUNGS)


def at_rung(binary_set: bytes, rung: Rung) -> bytes:
    """The set with its pictures made smaller; about 2 ms of processor time a picture."""
    decoded = decode_set(binary_set)
    jpegs = {camera_id: _reduced(jpeg, rung) for camera_id, jpeg in decoded.jpegs.items()}
    return encode_set(
        decoded.frame_index,
        decoded.media_time_ns,
        decoded.metadata_json,
        jpegs,
        rung.quality,
        is_incomplete=decoded.is_incomplete,
    )


def _reduced(jpeg: bytes, rung: Rung) -> bytes:
    try:
        return reduce_jpeg(jpeg, rung.factor, rung.quality)
    except ValueError:  # no picture: better as it came than none of the set
        return jpeg


class Ladder:
    """Where one client stands: ``rung`` counts into RUNGS, and every ``divisor``-th set is sent.

    A client that loses 3 of 10 sets steps down: to the next quality, at the last one to
    half the rate. After 50 sets without a loss it steps up again, rate first; whoever stumbles
    right after a step up is given twice as long before the next try.
    """

    def __init__(self, rung: int = 0) -> None:
        self.rung, self.divisor = rung, 1
        self._highest = rung
        self._seen = self._lost = self._clean = 0
        self._patience = CLEAN_SETS
        self._is_trying = False

    def note(self, lost: int) -> bool:
        """One set was sent, and ``lost`` were skipped before it; whether that changed the step."""
        self._seen += 1 + lost
        self._lost += lost
        self._clean = 0 if lost else self._clean + 1
        if self._lost >= TOO_MANY_LOST and self._lost * WINDOW_SETS >= TOO_MANY_LOST * self._seen:
            return self._step_down()
        if self._seen >= WINDOW_SETS:
            self._seen = self._lost = 0
        return self._clean >= self._patience and self._step_up()

    def _step_down(self) -> bool:
        self._seen = self._lost = self._clean = 0
        if self._is_trying:
            self._patience = min(self._patience * 2, LONGEST_PATIENCE_SETS)
        self._is_trying = False
        before = (self.rung, self.divisor)
        if self.rung < len(RUNGS) - 1:
            self.rung += 1
        else:
            self.divisor = min(self.divisor * 2, LARGEST_DIVISOR)
        return before != (self.rung, self.divisor)

    def _step_up(self) -> bool:
        self._clean = 0
        if self.divisor == 1 and self.rung == self._highest:
            self._is_trying, self._patience = False, CLEAN_SETS
            return False
        self._is_trying = True
        if self.divisor > 1:
            self.divisor //= 2
        else:
            self.rung -= 1
        return True
