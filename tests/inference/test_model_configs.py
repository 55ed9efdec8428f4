"""The shipped configurations are what Triton's own schema and the model contract say."""

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from plugins.inference.model_import import MODELS
from tests.triton_fixtures import PROJECT

FOLDER = PROJECT / "model_repository"


def read(path) -> model_config_pb2.ModelConfig:
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("file", ["config.pbtxt", "configs/cpu.pbtxt", "configs/gpu.pbtxt"])
def test_every_configuration_is_valid_and_serves_the_newest_version(model, file):
    config = read(FOLDER / model / file)

    assert config.name == model
    assert config.max_batch_size >= 4
    assert config.version_policy.latest.num_versions == 1
    assert config.HasField("dynamic_batching")


@pytest.mark.parametrize("model", MODELS)
def test_each_profile_names_its_engine_and_device(model):
    cpu = read(FOLDER / model / "configs" / "cpu.pbtxt")
    gpu = read(FOLDER / model / "configs" / "gpu.pbtxt")

    assert (cpu.backend, cpu.default_model_filename) == ("onnxruntime", "model.onnx")
    assert (gpu.platform, gpu.default_model_filename) == ("tensorrt_plan", "model.plan")
    assert cpu.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_CPU
    assert gpu.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert cpu.max_batch_size <= gpu.max_batch_size


@pytest.mark.parametrize("model", MODELS)
def test_no_configuration_fixes_a_size_that_differs_per_engine(model):
    """Inputs and outputs are completed from the engine; a number here would go stale."""
    for path in (FOLDER / model).rglob("*.pbtxt"):
        config = read(path)
        assert not config.input
        assert not config.output
