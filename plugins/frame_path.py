"""What a task's frames go through that differs between the profiles, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from plugins.deepstream.configuration import DeepStreamSettings
from plugins.frames import Detections, Frame
from plugins.gst.decoder import H264Decoder, OpenDecoder
from plugins.inference.detector import Detector
from plugins.inference.embedder import Crop, Embedder
from plugins.media.jpeg import encode_jpeg


class FindsPeople(Protocol):
    """``Detector``, or a reader of what the frames brought along."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """People in each frame, in the order of ``frames``."""


class DescribesPeople(Protocol):
    """``Embedder``, or a reader of what the frames brought along."""

    @property
    def model_version(self) -> str:
        """Of the model that made the last vectors."""

    def embed(self, crops: Sequence[Crop]) -> npt.NDArray[np.float32]:
        """(N, D) vectors of N crops."""


@dataclass(frozen=True, slots=True)
class FramePath:
    """One profile: how pictures are decoded, searched, described and made into JPEGs."""

    open_decoder: OpenDecoder
    detector: FindsPeople
    embedder: DescribesPeople
    encode: Callable[[Frame, int], bytes]


@contextmanager
def frame_path(
    deepstream: DeepStreamSettings | None,
    camera_ids: Sequence[str],
    detector: Detector,
    embedder: Embedder,
) -> Iterator[FramePath]:
    """The CPU's without ``deepstream``; else the pipeline's, for the cameras that have pictures.

    On the GPU the two models of Triton stay at hand: ``detector`` says how large its input is, and
    ``embedder`` describes whom the pipeline has left out.
    """
    if deepstream is None:
        yield FramePath(H264Decoder, detector, embedder, encode_jpeg)
        return
    # The CPU profile needs none of it.
    from plugins.deepstream.inferred import (  # noqa: PLC0415
        GraphDetector,
        GraphEmbedder,
        encode_inferred,
    )
    from plugins.deepstream.pipeline import deepstream_pipeline  # noqa: PLC0415
    from plugins.deepstream.presence import load_pyds  # noqa: PLC0415

    pipeline = deepstream_pipeline(camera_ids, deepstream, detector.input_size_hw, load_pyds())
    with closing(pipeline):
        yield FramePath(
            pipeline.open_decoder, GraphDetector(), GraphEmbedder(embedder), encode_inferred
        )
