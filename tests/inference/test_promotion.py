"""Versions change places while requests go on; what does not work is taken back by itself."""

import threading
import time
from collections import Counter

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from plugins.errors import InvalidInputError, InvalidModelError
from plugins.inference.detector import Detector
from plugins.inference.model_import import import_model, serving_version
from plugins.inference.promotion import promote, rollback
from plugins.inference.serving import config_files, pinned_version, read_history
from plugins.inference.triton_client import Triton
from tests.inference.toy_models import (
    CROP_SIZE,
    RED,
    frame_with,
    openvino_file,
    osnet_file,
    yolox_file,
)
from tests.triton_fixtures import empty_repository
from tests.waiting import PATIENCE_S

CLIENTS = 4
MODEL = "person_reid"


@pytest.fixture
def repository(tmp_path):
    """Embedders 1 and 2; without any server."""
    repository = empty_repository(tmp_path / "ours" / "model_repository")
    for seed in (0, 1):
        import_model(osnet_file(tmp_path / "o.onnx", seed=seed), MODEL, "osnet", repository)
    return repository


@pytest.fixture
def served(own_server):
    own_server.start()
    own_server.wait_ready()
    triton = Triton(own_server.url, repository=own_server.repository)
    yield triton, own_server.repository
    triton.close()


class Load:
    """Clients that never try twice: who answered each request, and every failure."""

    def __init__(self, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.vectors: dict[str, np.ndarray] = {}
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(CLIENTS)]

    def _ask(self, url: str) -> None:
        crops = np.random.default_rng(0).integers(0, 256, (1, 3, *CROP_SIZE), np.uint8)
        tensor = grpcclient.InferInput("crops", crops.shape, "UINT8")
        tensor.set_data_from_numpy(crops)
        with grpcclient.InferenceServerClient(url) as client:
            while not self._stopping.is_set():
                try:
                    result = client.infer(MODEL, [tensor], client_timeout=PATIENCE_S)
                except InferenceServerException as error:
                    self.failures.append(str(error))
                    continue
                version = result.get_response().model_version
                self.answers[version] += 1
                vector = result.as_numpy("embeddings")[0]
                if not np.allclose(self.vectors.setdefault(version, vector), vector, atol=1e-5):
                    self.failures.append(f"version {version} gave another vector")

    def until(self, version: str, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        goal = self.answers[version] + count
        while self.answers[version] < goal:
            assert time.monotonic() < deadline, (self.answers, self.failures[:3])
            time.sleep(0.01)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def test_no_request_fails_while_versions_change_under_load(served, tmp_path):
    """Promotion, a promotion that fails, and rollback, with four clients that never try twice."""
    triton, repository = served
    import_model(osnet_file(tmp_path / "o.onnx", seed=3), MODEL, "osnet", repository)
    broken = repository / MODEL / "3"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"no model")

    with Load(triton.url) as load:
        load.until("1", 30)
        promoted = promote(repository, MODEL, 2, triton)
        load.until("2", 30)
        with pytest.raises(InvalidModelError):
            promote(repository, MODEL, 3, triton)
        load.until("2", 30)
        back = rollback(repository, MODEL, triton)
        load.until("1", 30)

    assert load.failures == []
    assert (promoted.before, promoted.version, promoted.is_loaded) == (1, 2, True)
    assert (back.before, back.version) == (2, 1)
    assert set(load.answers) == {"1", "2"}


def test_a_detector_of_another_size_takes_over_without_a_missed_frame(served, tmp_path):
    """The pipeline's own sessions draw again at the new size; no frame is without its answer."""
    triton, repository = served
    import_model(
        yolox_file(tmp_path / "y.onnx", (128, 192)), "person_detector", "yolox", repository
    )
    detector, swapper = Detector(triton), Triton(triton.url, repository=repository)
    frame, found = frame_with((128, 64, 160, 96), RED), []
    done = threading.Event()

    def swap() -> None:
        promote(repository, "person_detector", 2, swapper)
        done.set()

    swapping = threading.Thread(target=swap)
    swapping.start()
    while not done.is_set() or detector.input_size_hw == (64, 96):
        found.append(len(detector.detect([frame])[0]))
    swapping.join()
    swapper.close()

    assert detector.input_size_hw == (128, 192)
    assert min(found) >= 1


def test_a_version_that_breaks_the_contract_is_taken_back(served):
    """It loads, but answers with vectors that are not of length 1: the canary sees it."""
    triton, repository = served
    folder = repository / MODEL / "2"
    folder.mkdir()
    unnormalised(repository, folder / "model.onnx")

    with pytest.raises(InvalidModelError, match="lengths"):
        promote(repository, MODEL, 2, triton)

    assert serving_version(repository / MODEL) == repository / MODEL / "1"
    with triton.client() as client:
        assert client.is_model_ready(MODEL, "1")
        assert not client.is_model_ready(MODEL, "2")
    assert read_history(repository / MODEL) == []


def unnormalised(repository, path) -> None:
    """The serving embedder with vectors twice as long."""
    import onnx  # noqa: PLC0415  # this test alone edits a graph

    model = onnx.load(repository / MODEL / "1" / "model.onnx")
    for node in model.graph.node:
        node.output[:] = ["short" if name == "embeddings" else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node("Add", ["short", "short"], ["embeddings"]))
    onnx.save(model, path)


def fragile(repository, path) -> None:
    """The serving embedder with an index out of range for a crop that is white all over."""
    import onnx  # noqa: PLC0415  # as above

    model, make = onnx.load(repository / MODEL / "1" / "model.onnx"), onnx.helper
    for node in model.graph.node:
        node.output[:] = ["sound" if name == "embeddings" else name for name in node.output]
    model.graph.initializer.append(make.make_tensor("nought", onnx.TensorProto.FLOAT, [1], [0.0]))
    model.graph.initializer.append(make.make_tensor("white", onnx.TensorProto.FLOAT, [], [255.0]))
    model.graph.node.extend(
        [
            make.make_node("Cast", ["crops"], ["float_crops"], to=onnx.TensorProto.FLOAT),
            make.make_node("ReduceMin", ["float_crops"], ["dark"], axes=[1, 2, 3], keepdims=0),
            make.make_node("Div", ["dark", "white"], ["share"]),
            make.make_node("Cast", ["share"], ["index"], to=onnx.TensorProto.INT64),
            make.make_node("Gather", ["nought", "index"], ["noughts"]),
            make.make_node("ReduceMax", ["noughts"], ["zero"], keepdims=0),
            make.make_node("Add", ["sound", "zero"], ["embeddings"]),
        ]
    )
    onnx.save(model, path)


def test_a_version_that_fails_on_some_requests_goes_back_by_itself(served):
    """Load and canary are fine, then every tenth crop fails: the version before serves again, and
    the pipeline's own sessions have an answer for every crop.
    """
    triton, repository = served
    (repository / MODEL / "2").mkdir()
    fragile(repository, repository / MODEL / "2" / "model.onnx")
    crops = [np.full((1, 3, *CROP_SIZE), value, np.uint8) for value in range(165, 256, 10)]
    answers, done = [Counter() for _ in range(CLIENTS)], threading.Event()

    def ask(mine: Counter[str]) -> None:
        client = Triton(triton.url, deadline_s=PATIENCE_S, repository=repository)
        session = client.session(MODEL, 1)
        while not done.is_set():
            for crop in crops:
                session.run(1, lambda pixels, crop=crop: np.copyto(pixels, crop))
                mine[session.model_version.split("/")[1]] += 1
        mine["after"] = int(session.model_version.split("/")[1])
        client.close()

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in answers]
    for thread in threads:
        thread.start()
    try:
        with pytest.raises(InvalidModelError, match="failed after the promotion"):
            promote(repository, MODEL, 2, triton, watch_s=120)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert [mine["after"] for mine in answers] == [1] * CLIENTS
    assert sum(mine["2"] for mine in answers) > 0
    assert serving_version(repository / MODEL) == repository / MODEL / "1"
    with triton.client() as client:
        assert client.is_model_ready(MODEL, "1")
        assert not client.is_model_ready(MODEL, "2")
    assert read_history(repository / MODEL) == []


def test_a_pinned_version_survives_a_restart_and_newer_imports(served, own_server, tmp_path):
    """What serves is decided by promotion, not by what lies beside it."""
    triton, repository = served
    promote(repository, MODEL, 1, triton)
    import_model(osnet_file(tmp_path / "o.onnx", seed=4), MODEL, "osnet", repository)

    own_server.stop()
    own_server.start()
    own_server.wait_ready()

    with triton.client() as client:
        assert client.is_model_ready(MODEL, "1")
        assert not client.is_model_ready(MODEL, "2")


def test_an_import_that_fails_its_promotion_does_not_serve_after_a_restart(served):
    """Nothing was pinned, so the newest would serve: that is the one that has just failed."""
    triton, repository = served
    broken = repository / MODEL / "2"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"no model")

    with pytest.raises(InvalidModelError):
        promote(repository, MODEL, 2, triton)

    assert serving_version(repository / MODEL) == repository / MODEL / "1"
    with triton.client() as client:
        assert client.is_model_ready(MODEL, "1")


def test_without_a_server_the_next_start_serves_what_was_promoted(repository):
    promotion = promote(repository, MODEL, 1, None)

    assert (promotion.before, promotion.is_loaded) == (2, False)
    assert serving_version(repository / MODEL) == repository / MODEL / "1"
    for path in config_files(repository / MODEL):
        config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
        assert list(config.version_policy.specific.versions) == [1]


def test_the_warm_up_follows_the_serving_version(tmp_path, repository):
    """Pinned to an older engine, an import does not change it; promoted and back, it does."""
    promote(repository, MODEL, 2, None)
    import_model(openvino_file(tmp_path / "v.onnx"), MODEL, "openvino-reid", repository)
    import_model(osnet_file(tmp_path / "c.onnx", (224, 224)), MODEL, "clip", repository)
    sizes = [warmed_size(repository)]
    promote(repository, MODEL, 4, None)
    sizes.append(warmed_size(repository))
    rollback(repository, MODEL, None)
    sizes.append(warmed_size(repository))

    assert sizes == [CROP_SIZE, (224, 224), CROP_SIZE]


def warmed_size(repository) -> tuple[int, int]:
    """The same in every configuration."""
    configs = [
        text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
        for path in config_files(repository / MODEL)
    ]
    found = {tuple(w.inputs["crops"].dims[1:]) for c in configs for w in c.model_warmup}
    (size,) = found
    return size


def test_rolling_back_twice_goes_two_promotions_back(tmp_path, repository):
    import_model(osnet_file(tmp_path / "o.onnx", seed=2), MODEL, "osnet", repository)
    for version in (1, 2, 3):
        promote(repository, MODEL, version, None)

    went = [rollback(repository, MODEL, None).version for _ in range(2)]

    assert went == [2, 1]
    assert [entry.version for entry in read_history(repository / MODEL)] == [1, 2, 3, 2, 1]


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda r: promote(r, MODEL, 7, None), "no version 7; there are: 1, 2"),
        (lambda r: promote(r, MODEL, 1, None, engine="model.plan"), "models build"),
        (lambda r: rollback(r, MODEL, None), "nothing was promoted"),
        (lambda r: rollback(r, MODEL, None, to=9), "no version 9"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_changes(repository, act, says):
    with pytest.raises(InvalidInputError, match=says):
        act(repository)

    assert pinned_version(repository / MODEL) is None


def test_a_server_of_another_repository_is_recognised(served, repository):
    """Ours does not turn to a version that nobody could look at."""
    triton, _ = served

    with pytest.raises(InvalidModelError, match="another model repository"):
        promote(repository, MODEL, 2, triton)

    assert pinned_version(repository / MODEL) != 2
