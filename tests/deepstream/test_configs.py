"""The texts DeepStream loads parse, and agree with the models, Triton's configurations and code."""

import configparser
import re
import shutil

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

from plugins.deepstream.configuration import DeepStreamSettings, render_configs
from plugins.deepstream.float_input import serving_onnx, write_with_float_input
from plugins.deepstream.graph import DETECTOR_ID, EMBEDDER_ID
from plugins.deepstream.metadata import EMBED_CLASS, PASS_CLASS
from plugins.errors import InvalidInputError, InvalidModelError
from plugins.inference.served_model import CONTRACT
from plugins.inference.serving import write_policy
from tests.deepstream import nvinferserver_schema
from tests.triton_fixtures import PROJECT

CONFIGS = PROJECT / "deepstream_configs"
MODELS = {"detector": "person_detector", "embedder": "person_reid"}


@pytest.fixture
def settings(tmp_path):
    return DeepStreamSettings(
        configs=CONFIGS,
        model_repository=tmp_path / "models",
        triton_url="triton:8001",
        work_dir=tmp_path / "rendered",
    )


def toy_model() -> onnx.ModelProto:
    """Means of the three channels of uint8 pictures [N, 3, 8, 4]."""
    pictures = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 3, 8, 4])
    means = helper.make_tensor_value_info("means", TensorProto.FLOAT, ["N", 3, 1, 1])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["floats"], ["means"]),
    ]
    graph = helper.make_graph(nodes, "toy", [pictures], [means])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def parsed(path):
    text = path.read_text().replace("${GPU_ID}", "0").replace("${SHARE_CUDA_BUFFERS}", "true")
    return text_format.Parse(text, nvinferserver_schema.message())


def ini(path):
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.read_string(path.read_text())
    return parser["property"]


@pytest.mark.parametrize("inference", ["triton", "in_process"])
@pytest.mark.parametrize("role", MODELS)
def test_nvinferserver_text_keeps_the_documented_schema_and_the_model_contract(role, inference):
    """Names, type and batch of the tensors are those of the contract and of Triton's own file."""
    config = parsed(CONFIGS / f"{role}.{inference}.txt").infer_config
    input_name, outputs = CONTRACT[MODELS[role]]
    served = text_format.Parse(
        (PROJECT / "model_repository" / MODELS[role] / "configs" / "gpu.pbtxt").read_text(),
        model_config_pb2.ModelConfig(),
    )

    assert config.backend.triton.model_name == served.name
    assert [i.name for i in config.backend.inputs] == [input_name]
    assert config.preprocess.tensor_name == input_name
    assert {o.name for o in config.backend.outputs} == set(outputs)
    assert config.max_batch_size <= served.max_batch_size
    assert config.preprocess.normalize.scale_factor == 1.0
    kind = config.backend.inputs[0].DESCRIPTOR.fields_by_name["data_type"].enum_type
    assert kind.values_by_number[config.backend.inputs[0].data_type].name == "TENSOR_DT_UINT8"


@pytest.mark.parametrize("inference", ["triton", "in_process"])
def test_tensors_reach_the_probes_in_host_memory(inference):
    """Both models attach raw tensors, which pyds reads through host pointers only."""
    for role in MODELS:
        config = parsed(CONFIGS / f"{role}.{inference}.txt")
        assert config.output_control.output_tensor_meta
        assert config.infer_config.postprocess.HasField("other")
        assert config.infer_config.backend.output_mem_type == 1


@pytest.mark.parametrize("inference", ["triton", "in_process"])
def test_embedder_sees_the_chosen_objects_of_the_detector_only(inference):
    detector = parsed(CONFIGS / f"detector.{inference}.txt")
    embedder = parsed(CONFIGS / f"embedder.{inference}.txt")

    assert detector.infer_config.unique_id == DETECTOR_ID
    assert embedder.infer_config.unique_id == EMBEDDER_ID
    assert embedder.input_control.operate_on_gie_id == DETECTOR_ID
    assert list(embedder.input_control.operate_on_class_ids) == [EMBED_CLASS]
    assert PASS_CLASS not in embedder.input_control.operate_on_class_ids


def test_detector_lays_pictures_out_as_the_probe_reads_them():
    """Top-left at one scale: what ``probes.in_frame`` undoes."""
    for inference in ("triton", "in_process"):
        preprocess = parsed(CONFIGS / f"detector.{inference}.txt").infer_config.preprocess
        assert (preprocess.maintain_aspect_ratio, preprocess.symmetric_padding) == (1, 0)
    fallback = ini(CONFIGS / "detector.nvinfer.ini")
    assert (fallback["maintain-aspect-ratio"], fallback["symmetric-padding"]) == ("1", "0")


@pytest.mark.parametrize("role", MODELS)
def test_nvinfer_fallback_says_the_same_as_the_triton_text(role):
    fallback = ini(CONFIGS / f"{role}.nvinfer.ini")
    config = parsed(CONFIGS / f"{role}.triton.txt")

    assert int(fallback["gie-unique-id"]) == config.infer_config.unique_id
    assert int(fallback["batch-size"]) == config.infer_config.max_batch_size
    assert fallback["output-blob-names"].split(";") == [
        o.name for o in config.infer_config.backend.outputs
    ]
    assert (fallback["network-type"], fallback["output-tensor-meta"]) == ("100", "1")
    assert int(fallback["process-mode"]) == config.input_control.process_mode
    assert f"_b{fallback['batch-size']}_" in fallback["model-engine-file"]
    if role == "embedder":
        limits = config.input_control.object_control.bbox_filter
        assert int(fallback["input-object-min-height"]) == limits.min_height
        assert int(fallback["input-object-min-width"]) == limits.min_width


def test_a_misspelt_field_would_be_noticed():
    """The schema refuses what is not written down in it."""
    text = (CONFIGS / "detector.in_process.txt").read_text().replace("${GPU_ID}", "0")
    with pytest.raises(text_format.ParseError):
        text_format.Parse(
            text.replace("max_batch_size", "batch_size"), nvinferserver_schema.message()
        )


@pytest.mark.parametrize("choice", ["perf", "accuracy"])
def test_tracker_text_ignores_the_class_that_says_who_is_embedded(choice):
    tracker = yaml.safe_load((CONFIGS / f"tracker.{choice}.yml").read_text())

    assert tracker["DataAssociator"]["checkClassMatch"] == 0
    assert tracker["TrajectoryManagement"]["enableReAssoc"] == 0
    assert tracker["VisualTracker"]["visualTrackerType"] == 1


def test_multiplexer_takes_its_batch_size_from_the_graph_alone():
    properties = ini(CONFIGS / "streammux.ini")

    assert "batch-size" not in properties
    assert properties["max-same-source-frames"] == "1"
    assert properties["adaptive-batching"] == "1"


@pytest.mark.parametrize("inference", ["triton", "in_process"])
@pytest.mark.parametrize("tracker", ["off", "perf", "accuracy"])
def test_places_are_filled_in_and_the_result_still_parses(settings, inference, tracker):
    settings = type(settings)(**fields(settings) | {"inference": inference, "tracker": tracker})
    files = render_configs(settings, 4)

    for path in (files.detector, files.embedder):
        assert "${" not in path.read_text()
        server = parsed(path).infer_config.backend.triton
        assert server.grpc.url == ("triton:8001" if inference == "triton" else "")
        assert bool(server.model_repo.root) == (inference == "in_process")
    assert (files.tracker is None) == (tracker == "off")


def test_nvinfer_gets_models_with_float_input(settings):
    """Its copies answer as the originals do, and a new version gets a name of its own."""
    settings = type(settings)(**fields(settings) | {"inference": "nvinfer"})
    repository = settings.model_repository
    for model in MODELS.values():
        for version in ("1", "2"):
            (repository / model / version).mkdir(parents=True)
            onnx.save(toy_model(), repository / model / version / "model.onnx")
    files = render_configs(settings, 4)

    path = ini(files.detector)["onnx-file"]
    assert path.endswith("person_detector-2.onnx")
    assert ini(files.detector)["model-engine-file"].startswith(path)
    original = ort.InferenceSession(toy_model().SerializeToString())
    copy = ort.InferenceSession(path)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 4), dtype=np.uint8)
    expected = original.run(None, {"pixels": pixels})[0]
    found = copy.run(None, {"pixels": pixels.astype(np.float32)})[0]
    np.testing.assert_array_equal(found, expected)


def test_nvinfer_gets_the_version_that_was_promoted(tmp_path):
    """Not a newer one that waits for its promotion."""
    folder = tmp_path / "models" / "person_reid"
    shutil.copytree(
        PROJECT / "model_repository" / "person_reid",
        folder,
        ignore=shutil.ignore_patterns("[0-9]*"),
    )
    for version in ("1", "2"):
        (folder / version).mkdir()
        onnx.save(toy_model(), folder / version / "model.onnx")

    newest = serving_onnx(tmp_path / "models", "person_reid")
    write_policy(folder, 1)

    assert newest == folder / "2" / "model.onnx"
    assert serving_onnx(tmp_path / "models", "person_reid") == folder / "1" / "model.onnx"
    (folder / "1" / "model.onnx").rename(folder / "1" / "model.plan")
    with pytest.raises(InvalidModelError, match=r"1 has no model\.onnx"):
        serving_onnx(tmp_path / "models", "person_reid")


def test_missing_model_and_missing_text_are_named(settings, tmp_path):
    with pytest.raises(InvalidModelError, match="spoton models import"):
        serving_onnx(settings.model_repository, "person_reid")
    elsewhere = type(settings)(**fields(settings) | {"configs": tmp_path})
    with pytest.raises(InvalidInputError, match="SPOTON_DEEPSTREAM_CONFIGS"):
        render_configs(elsewhere, 4)


def test_no_text_names_a_machine():
    """Addresses and folders come from the settings."""
    for path in CONFIGS.iterdir():
        assert not re.search(r"\d+\.\d+\.\d+\.\d+|/(work|home|root)/", path.read_text()), path


def fields(settings) -> dict:
    return {name: getattr(settings, name) for name in settings.__slots__}


def test_float_copy_leaves_the_original_alone(tmp_path):
    source = tmp_path / "model.onnx"
    onnx.save(toy_model(), source)
    before = source.read_bytes()
    write_with_float_input(source, tmp_path / "copy" / "model.onnx")
    assert source.read_bytes() == before
