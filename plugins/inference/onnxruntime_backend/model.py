"""Triton backend named ``onnxruntime``, in Python: serves ``<version>/model.onnx`` on a CPU.

The embedded server carries the Python backend alone. In NVIDIA's container the same
``backend: "onnxruntime"`` line is the native backend, which reads the same ``parameters``. This
file runs inside the server under its own environment (numpy 1), never in the application.

Parameters: ``intra_op_thread_count``, ``inter_op_thread_count``, and any ``session.*`` entry of
ONNX Runtime. Inputs and outputs that the configuration leaves out are read from the model file.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]

REPOSITORY_VARIABLE = "SPOTON_MODEL_REPOSITORY"
MODEL_FILE = "model.onnx"
TRITON_TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(bool)": "TYPE_BOOL",
}


def open_session(path: Path, parameters: dict[str, str]) -> Any:
    """A CPU session of the model file with the configuration's thread settings."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", "0"))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", "0"))
    for key, value in parameters.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def string_parameters(config: dict[str, Any]) -> dict[str, str]:
    """The configuration's ``parameters`` as a plain dict."""
    return {key: value["string_value"] for key, value in config.get("parameters", {}).items()}


def served_file(config: dict[str, Any]) -> Path | None:
    """The model file of the version that the version policy will serve, or None."""
    folder = Path(os.environ[REPOSITORY_VARIABLE], config["name"])
    versions = sorted(int(path.parent.name) for path in folder.glob(f"[0-9]*/{MODEL_FILE}"))
    chosen = config.get("version_policy", {}).get("specific", {}).get("versions", [])
    wanted = [version for version in versions if version in {int(number) for number in chosen}]
    usable = wanted or versions
    return folder / str(usable[-1]) / MODEL_FILE if usable else None


def described(value: Any) -> dict[str, Any]:
    """A model input or output as Triton's configuration writes it, without the batch axis."""
    dims = [side if isinstance(side, int) else -1 for side in value.shape[1:]]
    return {"name": value.name, "data_type": TRITON_TYPES[value.type], "dims": dims}


class TritonPythonModel:
    """One instance of a served model; Triton calls these methods."""

    @staticmethod
    def auto_complete_config(completed: Any) -> Any:
        """Fill in inputs and outputs from the model file where the configuration has none."""
        config = completed.as_dict()
        path = served_file(config)
        if path is None or (config["input"] and config["output"]):
            return completed
        session = open_session(path, {})
        for value in session.get_inputs():
            completed.add_input(described(value))
        for value in session.get_outputs():
            completed.add_output(described(value))
        return completed

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's model file."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"], args["model_version"])
        path = folder / (config.get("default_model_filename") or MODEL_FILE)
        self.session = open_session(path, string_parameters(config))
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the requests of one dynamic batch as one inference."""
        parts = [self._tensors(request) for request in requests]
        feed = {
            name: parts[0][name]
            if len(parts) == 1
            else np.concatenate([part[name] for part in parts])
            for name in self.inputs
        }
        results = self.session.run(self.outputs, feed)
        responses, start = [], 0
        for part in parts:
            end = start + len(part[self.inputs[0]])
            rows = [
                pb_utils.Tensor(name, np.ascontiguousarray(result[start:end]))
                for name, result in zip(self.outputs, results, strict=True)
            ]
            responses.append(pb_utils.InferenceResponse(rows))
            start = end
        return responses

    def finalize(self) -> None:
        """Give the session's memory back when the model is unloaded."""
        self.session = None

    def _tensors(self, request: Any) -> dict[str, Any]:
        return {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in self.inputs
        }
