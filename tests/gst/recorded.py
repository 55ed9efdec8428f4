"""Clips and cameras for the tests of this folder."""

import threading
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from plugins.frames import NS_PER_S, Frame
from plugins.gst.camera import CameraSource
from plugins.media.timeline import LocalClip, SubVideo
from tests.recordings import read_number
from tests.waiting import PATIENCE_S

START_NS = 1_700_000_000 * NS_PER_S
FOREVER_NS = START_NS + 3600 * NS_PER_S


def clip(
    path: Path, frames: int, fps: float = 10, start_s: float = 0.0, camera_id: str = "c01"
) -> LocalClip:
    """A clip as a timeline describes it: ``frames`` frames from ``start_s`` after the start."""
    duration_ns = int(frames * NS_PER_S / Fraction(fps).limit_denominator(1001))
    start_ns = START_NS + round(start_s * NS_PER_S)
    key = f"env/{camera_id}/{path.name}"
    return LocalClip(SubVideo(camera_id, key, start_ns, duration_ns, frames, 320, 240), path)


class Player:
    """Plays one camera to its end and keeps what it sent."""

    def __init__(
        self,
        clips: Iterable[LocalClip],
        start_ns: int = START_NS,
        end_ns: int = FOREVER_NS,
    ) -> None:
        self.frames: list[Frame] = []
        self.has_ended = threading.Event()
        self.source = CameraSource(
            "c01",
            iter(clips),
            start_ns,
            end_ns,
            on_frame=self.frames.append,
            on_end=lambda _: self.has_ended.set(),
        )

    def play(self) -> "Player":
        self.source.start()
        try:
            assert self.has_ended.wait(PATIENCE_S), "the camera never ended"
        finally:
            self.source.close()
        return self

    @property
    def numbers(self) -> list[int]:
        return [read_number(frame.i420[: frame.height]) for frame in self.frames]

    @property
    def times_s(self) -> list[float]:
        """Seconds after the start, to a tenth of a millisecond."""
        return [round((f.media_time_ns - START_NS) / NS_PER_S, 4) for f in self.frames]

    @property
    def problems(self) -> list[str]:
        return self.source.problems
