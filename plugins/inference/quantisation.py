"""An INT8 copy of a model for TensorRT, its ranges calibrated on pictures of the model's own use.

Quantisation is written into the graph (QDQ nodes, symmetric, weights per channel), which is what
TensorRT asks for since 10.1; its own calibrators are deprecated. Only convolutions and matrix
products are quantised: decoding and suppression stay exact.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from plugins.errors import InvalidInputError
from plugins.inference.graph_surgery import real_inputs

Pixels = npt.NDArray[np.uint8]
QUANTISED = ["Conv", "MatMul", "Gemm"]
OPSET = 13
OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    "DedicatedQDQPair": True,
}


class _Pictures:
    """A calibration data reader of onnxruntime: one feed after another, then None."""

    def __init__(self, name: str, batches: Iterator[Pixels]) -> None:
        self._name, self._batches, self.count = name, batches, 0

    def get_next(self) -> dict[str, Pixels] | None:
        """One batch by the input's name."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        self.count += len(batch)
        return {self._name: batch}


def quantise(source: Path, target: Path, batches: Iterator[Pixels]) -> int:
    """Writes the INT8 copy of ``source``; ``batches`` are uint8 (N, 3, H, W) as the model takes
    them. Returns how many pictures there were; InvalidInputError for none.
    """
    # Takes a second to load, for this command alone.
    from onnxruntime.quantization import (  # noqa: PLC0415
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    model = onnx.load(source)
    pictures = _Pictures(real_inputs(model)[0].name, batches)
    first = pictures.get_next()
    if first is None:
        raise InvalidInputError("there are no pictures to calibrate with: name other footage")
    (name, pixels) = next(iter(first.items()))
    pictures = _Pictures(name, _with_first(pixels, batches))
    with tempfile.TemporaryDirectory() as folder:
        raised = Path(folder) / "model.onnx"
        onnx.save(_at_opset(model), raised)
        quantize_static(
            raised,
            target,
            pictures,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=OPTIONS,
        )
    return pictures.count


def _with_first(first: Pixels, rest: Iterator[Pixels]) -> Iterator[Pixels]:
    yield first
    yield from rest


def _at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Per-channel quantisation needs opset 13."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if max(versions) >= OPSET:
        return model
    return onnx.version_converter.convert_version(model, OPSET)
