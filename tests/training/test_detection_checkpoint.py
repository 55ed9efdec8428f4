"""Checkpoints of the detector's training. Needs torch, which stands in .venv-train alone."""

import re

import pytest

torch = pytest.importorskip("torch", reason="torch is in .venv-train alone: make train-setup")

from plugins.errors import InvalidInputError  # noqa: E402  # after the skip
from training.detection.network import Detection  # noqa: E402
from training.detection.train import Recipe, load_trained, train  # noqa: E402


def older(network):
    """What was stored before anything was said of where the training began."""
    weights = network.state_dict()
    optimiser = torch.optim.AdamW(network.parameters()).state_dict()
    counts = {"step": 100, "samples": 800, "seconds": 60.0, "seed": 1}
    return {"network": weights, "mean": weights, "optimiser": optimiser} | counts


@pytest.mark.parametrize("widths", [(), ((8, 16, 32, 64, 64),)])
def test_a_checkpoint_of_another_shape_is_refused(widths, tmp_path):
    """In one line that names it and what to do, to go on from as to export."""
    torch.save(older(Detection(*widths)), tmp_path / "state.pt")
    line = re.escape(str(tmp_path / "state.pt")) + r" does not fit .*: begin in another --work"
    for use in (load_trained, lambda folder: next(train(Recipe(folder, [], 200, 0.0), folder))):
        with pytest.raises(InvalidInputError) as refused:
            use(tmp_path)
        assert re.fullmatch(line, str(refused.value))
