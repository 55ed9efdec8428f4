"""From a checkpoint to ONNX under the contract of docs/models.md, and a record of the training."""

import platform
import warnings
from pathlib import Path

import msgspec
import torch

from training.reidentification.network import HEIGHT, WIDTH, EmbeddingNetwork
from training.reidentification.record import EXPORTED, RECORD, Trained
from training.reidentification.train import load_run

_OPSET = 17


def export_checkpoint(work: Path) -> Path:
    """Writes ``embedder.onnx`` and ``trained.json`` beside the last checkpoint in ``work``."""
    run, training = load_run(work)
    trained = Trained(
        run=run,
        step=training.step,
        seconds=training.seconds,
        parameters=sum(p.numel() for p in training.average.parameters()),
        torch=str(torch.__version__),
        machine=_machine(),
    )
    export(training.average, work / EXPORTED)
    (work / RECORD).write_bytes(msgspec.json.encode(trained))
    return work / EXPORTED


def export(network: EmbeddingNetwork, path: Path) -> None:
    """Writes ``path`` with an open batch axis; cosines are the network's own."""
    example = torch.randint(0, 256, (2, 3, HEIGHT, WIDTH), dtype=torch.uint8)
    batch = {0: "batch"}
    with warnings.catch_warnings():
        # The exporter without onnxscript, enough for a network without control flow.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            (example,),
            str(path),
            input_names=["crops"],
            output_names=["embeddings"],
            dynamic_axes={"crops": batch, "embeddings": batch},
            opset_version=_OPSET,
            dynamo=False,
        )


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else platform.machine()
