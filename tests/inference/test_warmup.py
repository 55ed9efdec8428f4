"""The warm-up section is what Triton's schema wants, for the installed engine's size."""

import shutil

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from plugins.inference.model_import import (
    MODELS,
    import_model,
    input_size,
    serving_version,
    warm_up_serving,
)
from plugins.inference.served_model import CONTRACT
from plugins.inference.serving import config_files
from plugins.inference.warmup import write_warmups
from tests.inference.toy_models import CROP_SIZE, osnet_file
from tests.triton_fixtures import PROJECT, empty_repository


@pytest.fixture
def folder(tmp_path):
    """The shipped configurations of the detector."""
    target = tmp_path / "person_detector"
    shutil.copytree(PROJECT / "model_repository" / target.name, target)
    return target


def read(path) -> model_config_pb2.ModelConfig:
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def test_each_batch_is_warmed_up_with_pictures_of_the_engine_s_size(folder):
    write_warmups(folder, (192, 320))

    for path in config_files(folder):
        found = read(path).model_warmup
        assert [w.batch_size for w in found] == [1, 4]
        (name,) = found[0].inputs
        assert name == CONTRACT["person_detector"][0]
        assert list(found[0].inputs[name].dims) == [3, 192, 320]
        assert found[0].inputs[name].data_type == model_config_pb2.TYPE_UINT8


def test_another_engine_s_section_takes_the_place_of_the_last(folder):
    """Everything else stays as it was; without an engine there is none."""
    gpu = folder / "configs" / "gpu.pbtxt"
    write_warmups(folder, None)
    before = read(gpu)
    write_warmups(folder, (320, 320))
    write_warmups(folder, (640, 640))
    after = read(gpu)
    assert {tuple(w.inputs["images"].dims) for w in after.model_warmup} == {(3, 640, 640)}
    del after.model_warmup[:]
    assert after == before
    assert not before.model_warmup


def test_import_writes_the_section_for_the_imported_engine(tmp_path):
    repository = empty_repository(tmp_path / "models")
    source = osnet_file(tmp_path / "osnet.onnx")
    imported = import_model(source, "person_reid", "osnet", repository)

    found = read(repository / "person_reid" / "configs" / "gpu.pbtxt").model_warmup
    assert [w.batch_size for w in found] == [1, 16]
    assert imported.record is not None
    assert list(found[0].inputs["crops"].dims) == [3, *imported.record.size]


@pytest.mark.parametrize("model", MODELS)
def test_the_shipped_section_fits_the_bundled_engine(model):
    """Triton refuses a model whose warm-up has another size."""
    bundled = PROJECT / "model_repository" / model / "1"
    size = input_size(bundled)
    if size is None:
        pytest.skip(f"no {model} is bundled")

    for path in config_files(bundled.parent):
        found = {tuple(w.inputs[CONTRACT[model][0]].dims) for w in read(path).model_warmup}
        assert found == {(3, *size)}


def test_an_engine_put_in_by_hand_is_warmed_up_with_its_own_size(tmp_path):
    """The size comes from the file where no record says it; what is no engine has none."""
    repository = empty_repository(tmp_path / "models")
    imported = import_model(osnet_file(tmp_path / "o.onnx"), "person_reid", "osnet", repository)
    (imported.path.parent / "model.json").unlink()
    junk = imported.path.parent.with_name("2")
    junk.mkdir()
    (junk / "model.onnx").write_bytes(b"junk")

    assert input_size(imported.path.parent) == CROP_SIZE
    assert input_size(junk) is None
    assert serving_version(imported.path.parent.parent) == junk
    warm_up_serving(imported.path.parent.parent)
    assert not read(repository / "person_reid" / "config.pbtxt").model_warmup
