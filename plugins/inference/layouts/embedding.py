"""What the embedding layouts share: one picture in, one vector out, length 1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from plugins.errors import InvalidModelError
from plugins.inference.graph_surgery import (
    add_node,
    dims_of,
    expect_value,
    free_the_batch,
    free_the_names,
    real_inputs,
    replace_input,
    set_outputs,
)
from plugins.inference.layouts.base import (
    Answer,
    Floats,
    Picture,
    SizeHW,
    normalised,
    run_source,
    size_of_file,
)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How a source wants its pixels: channel order, axis order, mean and std in 0..255. Of several
    outputs the embedding is the one called ``output``.
    """

    layout: str
    is_bgr: bool = False
    channels_last: bool = False
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    output: str = ""

    def choose_size(self, source: onnx.ModelProto, wanted: SizeHW | None) -> SizeHW:
        """The file's size, after its input's shape has been checked."""
        shape = [None, None, None, 3] if self.channels_last else [None, 3, None, None]
        expect_value(real_inputs(source)[0], shape, self.layout)
        return size_of_file(source, wanted, first_axis=1 if self.channels_last else 2)

    def adapt(self, source: onnx.ModelProto, size_hw: SizeHW, _score_floor: float) -> None:
        """Pixels in, normalised embedding out, any batch."""
        output = self._output(source)
        length = dims_of(output)[1] or self._measured_length(source, size_hw)
        free_the_names(source)
        free_the_batch(source)
        replace_input(
            source,
            "crops",
            size_hw,
            reverse_channels=self.is_bgr,
            mean=self.mean,
            std=self.std,
            channels_last=self.channels_last,
        )
        name = output.name if output.name != "embeddings" else "source/embeddings"
        add_node(source, "LpNormalization", [name], "embeddings", axis=1, p=2)
        set_outputs(source, [("embeddings", TensorProto.FLOAT, ["batch", length])])

    def reference(self, source: onnx.ModelProto, pictures: Picture) -> list[Answer]:
        """The source's vector for each picture, at length 1."""
        tensors = (self._tensor(picture) for picture in pictures)
        found = run_source(source, tensors, [self._output(source).name])
        return [(normalised(vectors[0]), np.empty(0, np.float32)) for (vectors,) in found]

    def _tensor(self, picture: Picture) -> Floats:
        pixels = (picture[::-1] if self.is_bgr else picture).astype(np.float32)
        if self.mean is not None:
            pixels = pixels - np.array(self.mean, np.float32).reshape(3, 1, 1)
        if self.std is not None:
            pixels = pixels / np.array(self.std, np.float32).reshape(3, 1, 1)
        tensor = pixels.transpose(1, 2, 0) if self.channels_last else pixels
        return np.ascontiguousarray(tensor[None])

    def _output(self, source: onnx.ModelProto) -> onnx.ValueInfoProto:
        named = [value for value in source.graph.output if value.name == self.output]
        chosen = named or list(source.graph.output)
        if len(chosen) != 1:
            raise InvalidModelError(
                f"the file has {len(chosen)} outputs, the layout {self.layout} "
                "expects one embedding: choose the layout the file was exported in"
            )
        output: onnx.ValueInfoProto = chosen[0]
        expect_value(output, [None, None], self.layout)
        return output

    def _measured_length(self, source: onnx.ModelProto, size_hw: SizeHW) -> int:
        ((vector, _),) = self.reference(source, np.zeros((1, 3, *size_hw), np.uint8))
        return len(vector)
