"""The sub-videos of each camera, laid end to end on one clock."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SubVideo:
    """One recorded file of one camera. ``start_ns`` is UTC media time of its first frame."""

    camera_id: str
    key: str
    start_ns: int
    duration_ns: int
    frame_count: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class LocalClip:
    """A sub-video on this machine's disk, or the one line that says why it is not."""

    sub_video: SubVideo
    path: Path | None
    error: str | None = None
