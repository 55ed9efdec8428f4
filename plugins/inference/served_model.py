"""What a server says about a model, held against the contract."""

from dataclasses import dataclass
from typing import Any

from plugins.errors import InvalidModelError

CONTRACT: dict[str, tuple[str, dict[str, tuple[str, tuple[int, ...]]]]] = {
    "person_detector": (
        "images",
        {"boxes": ("FP32", (100, 4)), "scores": ("FP32", (100,)), "labels": ("INT32", (100,))},
    ),
    "person_reid": ("crops", {"embeddings": ("FP32", (-1,))}),
}


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Input of a model as the server has it: uint8 [N <= max_batch, 3, *size_hw]."""

    name: str
    version: str
    input_name: str
    size_hw: tuple[int, int]
    max_batch: int
    outputs: tuple[str, ...]

    @property
    def picture_bytes(self) -> int:
        """Bytes of one picture of the input."""
        return 3 * self.size_hw[0] * self.size_hw[1]


def served_model(url: str, metadata: Any, max_batch: int) -> ServedModel:
    """Triton's ModelMetadataResponse as a ServedModel.

    InvalidModelError, naming the URL, if inputs or outputs do not keep the contract of the model.
    """
    input_name, outputs = CONTRACT[metadata.name]
    found_inputs = {value.name: (value.datatype, tuple(value.shape)) for value in metadata.inputs}
    found_outputs = {value.name: (value.datatype, tuple(value.shape)) for value in metadata.outputs}
    datatype, shape = found_inputs.get(input_name, ("", ()))
    is_input_right = (
        len(found_inputs) == 1
        and datatype == "UINT8"
        and len(shape) == 4
        and shape[:2] == (-1, 3)
        and min(shape[2:]) > 0
    )
    if not is_input_right or not _match(found_outputs, outputs):
        raise InvalidModelError(
            f"Triton at {url} serves '{metadata.name}' with inputs {found_inputs} and outputs "
            f"{found_outputs}, which does not keep the model contract: install the engine with "
            "'spoton models import' or roll back to the version before"
        )
    height, width = shape[2:]
    version = max(metadata.versions, key=int) if metadata.versions else ""
    return ServedModel(
        metadata.name, version, input_name, (height, width), max(1, max_batch), tuple(outputs)
    )


def _match(
    found: dict[str, tuple[str, tuple[int, ...]]], wanted: dict[str, tuple[str, tuple[int, ...]]]
) -> bool:
    """Whether every wanted output is there with its type and, batch aside, its shape."""
    return all(
        name in found
        and found[name][0] == datatype
        and len(found[name][1]) == len(shape) + 1
        and all(want in (-1, have) for have, want in zip(found[name][1][1:], shape, strict=True))
        for name, (datatype, shape) in wanted.items()
    )
