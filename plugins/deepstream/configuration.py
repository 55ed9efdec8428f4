"""The texts DeepStream's elements load, with the places of this machine filled in."""

from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal

from plugins.errors import InvalidInputError

Inference = Literal["triton", "in_process", "nvinfer"]
TrackerChoice = Literal["off", "perf", "accuracy"]
PLUGINS = {"triton": "nvinferserver", "in_process": "nvinferserver", "nvinfer": "nvinfer"}
STREAMMUX = "streammux.ini"


@dataclass(frozen=True, slots=True)
class DeepStreamSettings:
    """How the pipeline is set up. ``shares_cuda_buffers``: pictures stay on the GPU on their way to
    ``triton_url``, which must be on this host, in the same ipc and pid namespaces.

    ``inference``: ``triton`` asks the server at ``triton_url``; ``in_process`` loads Triton into
    the worker; ``nvinfer`` is TensorRT without Triton. ``tracker``: ``off`` leaves following people
    to our tracklets; ``perf`` and ``accuracy`` let NvDCF smooth and fill in the boxes before them.
    """

    configs: Path
    model_repository: Path
    triton_url: str
    work_dir: Path
    inference: Inference = "triton"
    tracker: TrackerChoice = "off"
    shares_cuda_buffers: bool = True
    gpu_id: int = 0
    jpeg_quality: int = 80
    score_threshold: float = 0.3


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """Absolute paths of the rendered texts; ``tracker`` is None where it is off."""

    streammux: Path
    detector: Path
    embedder: Path
    tracker: Path | None


def render_configs(settings: DeepStreamSettings, cameras: int) -> ConfigFiles:
    """Writes the texts for this many cameras into ``work_dir``.

    Raises InvalidInputError naming the text that is missing or has an unknown place in it.
    """
    suffix = "ini" if settings.inference == "nvinfer" else "txt"
    places = _model_copies(settings) | {
        "TRITON_URL": settings.triton_url,
        "MODEL_REPOSITORY": str(settings.model_repository.resolve()),
        "GPU_ID": str(settings.gpu_id),
        "CAMERAS": str(cameras),
        "SHARE_CUDA_BUFFERS": str(settings.shares_cuda_buffers).lower(),
    }

    def rendered(name: str) -> Path:
        return _render(settings.configs / name, settings.work_dir, places)

    is_tracked = settings.tracker != "off"
    return ConfigFiles(
        streammux=rendered(STREAMMUX),
        detector=rendered(f"detector.{settings.inference}.{suffix}"),
        embedder=rendered(f"embedder.{settings.inference}.{suffix}"),
        tracker=rendered(f"tracker.{settings.tracker}.yml") if is_tracked else None,
    )


def _model_copies(settings: DeepStreamSettings) -> dict[str, str]:
    """The models that nvinfer builds its engines from; the others read the repository itself."""
    if settings.inference != "nvinfer":
        return {}
    # Loads onnx, for which the settings of every command would have to wait.
    from plugins.deepstream.float_input import (  # noqa: PLC0415
        serving_onnx,
        write_with_float_input,
    )

    copies = {}
    for place, model in (("DETECTOR_ONNX", "person_detector"), ("EMBEDDER_ONNX", "person_reid")):
        source = serving_onnx(settings.model_repository, model)
        # A new version gets a new name, so that no engine of an older one is taken for it.
        target = settings.work_dir.resolve() / f"{model}-{source.parent.name}.onnx"
        write_with_float_input(source, target)
        copies[place] = str(target)
    return copies


def _render(source: Path, folder: Path, places: dict[str, str]) -> Path:
    try:
        text = Template(source.read_text("utf-8")).substitute(places)
    except FileNotFoundError as error:
        raise InvalidInputError(
            f"there is no DeepStream configuration {source}: set SPOTON_DEEPSTREAM_CONFIGS to the "
            "folder that has it"
        ) from error
    except (KeyError, ValueError) as error:
        raise InvalidInputError(
            f"{source} has an unknown place {error}; known: {', '.join(places)}"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.name
    target.write_text(text, "utf-8")
    return target.resolve()
