"""What the stages of one worker hand to each other; nothing here leaves the process."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture of one camera.

    ``i420`` is uint8 of shape (height * 3 // 2, width), planar Y, U, V without row padding: what
    ``cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)`` takes. Width and height are even.
    ``media_time_ns`` is UTC of the recording, nanoseconds since 1970.
    """

    camera_id: str
    media_time_ns: int
    width: int
    height: int
    i420: npt.NDArray[np.uint8]
    is_corrupt: bool = False


@dataclass(frozen=True, slots=True)
class FrameSet:
    """The frames of all cameras at one moment; a camera without a frame then is absent.

    ``index`` is the ``global_frame_index``: 0-based slot number since the task's start.
    ``media_time_ns`` is the slot's own time; each frame's lies within half a slot of it.
    ``arrived_s`` is ``time.perf_counter()`` when the set was complete.
    """

    index: int
    media_time_ns: int
    frames: Mapping[str, Frame]
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Detections:
    """Person boxes in one frame: ``boxes_xyxy`` (N, 4) float32 pixels of the full frame (may reach
    its border, never beyond), ``scores`` (N,) float32 in 0..1, descending.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class CropRequest:
    """A tracklet whose picture is worth an embedding now."""

    camera_id: str
    track_id: int
    bbox_xyxy: tuple[float, float, float, float]
