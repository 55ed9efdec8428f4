"""Training on from an exported model. Needs torch, which stands in .venv-train alone."""

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="torch is in .venv-train alone: make train-setup")

from plugins.errors import InvalidInputError  # noqa: E402  # after the skip
from tests.triton_fixtures import empty_repository  # noqa: E402
from training.detection.export import YoloxForm, export, install  # noqa: E402
from training.detection.network import Detection  # noqa: E402
from training.detection.start import keep_statistics, network_from_onnx  # noqa: E402

SIZE_HW = (64, 96)


@pytest.fixture
def learnt():
    """A network whose normalisations have all statistics and weights of their own."""
    torch.manual_seed(3)
    network = Detection()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, std=0.2)
    torch.nn.init.normal_(network.score.weight, std=2.0)
    torch.nn.init.zeros_(network.score.bias)
    network.train()(torch.rand(4, 3, *SIZE_HW))
    return network.eval()


def test_the_network_answers_as_the_export_it_starts_from(learnt, tmp_path):
    """Also while it trains: the normalisations keep their statistics."""
    export(learnt, SIZE_HW, tmp_path / "model.onnx")
    pictures = (255 * torch.rand(2, 3, *SIZE_HW)).round()
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    [expected] = session.run(None, {"images": pictures.numpy()})

    network = network_from_onnx(tmp_path / "model.onnx").train()
    keep_statistics(network)
    with torch.no_grad():
        found = YoloxForm(network)(pictures).numpy()

    assert np.ptp(np.log(expected[..., 4])) > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_it_starts_from_an_installed_model_too(learnt, tmp_path):
    """The import has turned the first weights from BGR to RGB."""
    path = install(learnt, SIZE_HW, empty_repository(tmp_path / "repository")) / "model.onnx"
    assert "Gather" not in {n.op_type for n in onnx.load(path).graph.node[:3]}
    pictures = torch.rand(2, 3, *SIZE_HW)
    with torch.no_grad():
        expected, found = learnt(pictures), network_from_onnx(path)(pictures)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_it_starts_from_an_earlier_export_too(learnt, tmp_path):
    """Those scaled the pictures themselves, before weights for 0..1."""
    path = tmp_path / "earlier.onnx"
    torch.onnx.export(
        Scaling(learnt).eval(), (torch.zeros(1, 3, *SIZE_HW),), str(path), dynamo=False
    )
    pictures = torch.rand(2, 3, *SIZE_HW)
    with torch.no_grad():
        expected, found = learnt(pictures), network_from_onnx(path)(pictures)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


class Scaling(torch.nn.Module):
    """Pictures 0..255."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pictures):
        return self.network(pictures * (1 / 255))


def test_another_networks_file_is_refused(tmp_path):
    """One line that names the file, instead of half a network."""
    export(Detection((8, 16, 32, 64, 64)), SIZE_HW, tmp_path / "other.onnx")
    with pytest.raises(InvalidInputError, match=r"other\.onnx is no export"):
        network_from_onnx(tmp_path / "other.onnx")
    with pytest.raises(InvalidInputError, match="there is no model"):
        network_from_onnx(tmp_path / "missing.onnx")
