"""The three pad probes, each a few array operations: attach boxes, choose whom to embed, copy out.

They run in the pipeline's own threads: nothing here waits, reads or writes anything outside.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from plugins.deepstream.metadata import Metadata, People
from plugins.deepstream.throttle import EmbedThrottle
from plugins.errors import SpotOnError
from plugins.frames import Detections

log = structlog.get_logger()
Take = Callable[[str, int, People], None]


class BatchProbes:
    """What happens to each batch between the elements. ``cameras`` are in the order of the pads;
    ``input_size_hw`` is the detector's; ``take`` gets each picture's people with camera and PTS;
    ``fail`` is told in one line, once, what makes going on senseless.
    """

    def __init__(
        self,
        metadata: Metadata,
        cameras: Sequence[str],
        input_size_hw: tuple[int, int],
        score_threshold: float,
        *,
        take: Take,
        fail: Callable[[str], None],
    ) -> None:
        self._metadata, self._cameras = metadata, tuple(cameras)
        self._input_size_hw, self._score_threshold = input_size_hw, score_threshold
        self._take, self._fail = take, fail
        self._throttles = {camera_id: EmbedThrottle() for camera_id in cameras}
        self._has_failed = False

    def after_detector(self, buffer: Any) -> None:
        """Makes the detector's tensors objects of their frames."""
        self._for_each_frame(buffer, self._attach)

    def before_embedder(self, buffer: Any) -> None:
        """Hides from the embedder whom it need not see."""
        self._for_each_frame(buffer, self._choose)

    def after_embedder(self, buffer: Any) -> None:
        """Copies everything out."""
        self._for_each_frame(buffer, self._copy_out)

    def by_pad(self) -> Mapping[tuple[str, str], Callable[[Any], None]]:
        """(element, pad) → the probe that belongs there."""
        return {
            ("detect", "src"): self.after_detector,
            ("embed", "sink"): self.before_embedder,
            ("embed", "src"): self.after_embedder,
        }

    def _for_each_frame(self, buffer: Any, act: Callable[[Any, Any], None]) -> None:
        """An exception must not reach GStreamer, which would only print it."""
        if self._has_failed:
            return
        try:
            batch = self._metadata.batch(buffer)
            for frame in self._metadata.frames(batch) if batch else ():
                act(batch, frame)
        except Exception as error:
            self._has_failed = True
            if not isinstance(error, SpotOnError):
                log.exception("deepstream_probe_failed")
            self._fail(str(error) or type(error).__name__)

    def _attach(self, batch: Any, frame: Any) -> None:
        outputs = self._metadata.detector_outputs(frame)
        if not outputs:
            raise SpotOnError(
                "the detector attached no tensors: its configuration needs "
                "output_control { output_tensor_meta: true } and postprocess { other {} }"
            )
        size_wh = frame.source_frame_width, frame.source_frame_height
        found = in_frame(
            outputs["boxes"],
            outputs["scores"],
            self._input_size_hw,
            size_wh,
            self._score_threshold,
        )
        self._metadata.attach(batch, frame, found)

    def _choose(self, _batch: Any, frame: Any) -> None:
        people = self._metadata.people(frame)
        throttle = self._throttles[self._cameras[frame.pad_index]]
        chosen = throttle.choose(people.boxes_xyxy, people.object_ids, frame.buf_pts)
        self._metadata.choose(frame, chosen)

    def _copy_out(self, _batch: Any, frame: Any) -> None:
        camera_id = self._cameras[frame.pad_index]
        self._take(camera_id, frame.buf_pts, self._metadata.people(frame))


def in_frame(
    boxes_xyxy: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    input_size_hw: tuple[int, int],
    frame_size_wh: tuple[int, int],
    score_threshold: float,
) -> Detections:
    """Boxes (100, 4) in pixels of the model input, where the picture lies top-left at one scale
    (``maintain_aspect_ratio: 1``, ``symmetric_padding: 0``), as detections of the full frame.
    """
    width, height = frame_size_wh
    scale = min(input_size_hw[0] / height, input_size_hw[1] / width)
    border = np.array([width, height] * 2, np.float32)
    boxes = np.clip(boxes_xyxy / scale, 0, border).astype(np.float32)
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    kept = (scores > 0) & (scores >= score_threshold) & has_area
    return Detections(boxes[kept], scores[kept])
