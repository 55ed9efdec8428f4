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
    check_it_is_refused(tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    """Empty, cut off anywhere, or something else."""
    path = tmp_path / "state.pt"
    torch.save(older(Detection()), path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:10], whole[: len(whole) // 2], bytes(100), b"hello"):
        path.write_bytes(damaged)
        check_it_is_refused(tmp_path)


def check_it_is_refused(folder):
    line = (
        re.escape(str(folder / "state.pt"))
        + r" is damaged or .*\(.*[\w']\): begin in another --work"
    )
    for use in (load_trained, lambda folder: next(train(Recipe(folder, [], 200, 0.0), folder))):
        with pytest.raises(InvalidInputError) as refused:
            use(folder)
        assert re.fullmatch(line, str(refused.value))
