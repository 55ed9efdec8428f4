"""What the loss asks of cells. Needs torch, which stands in .venv-train alone."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is in .venv-train alone: make train-setup")

from training.detection.loss import (  # noqa: E402  # after the skip
    Truth,
    assigned,
    cells_of,
    decoded,
    detection_loss,
    generalised_iou,
)
from training.detection.network import Detection  # noqa: E402

PERSON = (40.0, 20.0, 72.0, 84.0)
NOBODY = torch.zeros(0, 4)


def truth_of(people, ignored=NOBODY, worth=None):
    """Of one picture."""
    return Truth.of([people], [ignored], [torch.ones(len(people)) if worth is None else worth])


def perfect(cells, box, logit):
    """What cells would say that all see ``box``."""
    x0, y0, x1, y1 = box
    stride = cells.stride[:, 0]
    rows = [
        (x0 + x1) / 2 / stride - cells.corner[:, 0],
        (y0 + y1) / 2 / stride - cells.corner[:, 1],
    ]
    rows += [torch.log((x1 - x0) / stride), torch.log((y1 - y0) / stride)]
    return torch.stack([*rows, torch.full_like(stride, logit)], dim=1)


def test_boxes_are_decoded_to_pixels_at_every_stride():
    """Offset and log size in strides come back as the box they were made from."""
    cells = cells_of(96, 128)
    found = decoded(perfect(cells, PERSON, 0.0)[None], cells)[0]
    assert torch.allclose(found, torch.tensor(PERSON).expand_as(found), atol=1e-3)


def test_cells_in_the_person_are_chosen_and_nobody_elses():
    """At most ten cells, all within the box; with perfect boxes they should say 1."""
    cells = cells_of(96, 128)
    raw = perfect(cells, PERSON, 0.0)
    truth = truth_of(torch.tensor([PERSON]))
    [owner], [wanted] = assigned(decoded(raw[None], cells), raw[None, :, 4], truth, cells)
    chosen = owner == 0
    assert 1 <= int(chosen.sum()) <= 10
    x, y = cells.centre_px[chosen].T
    assert ((x > 40) & (x < 72) & (y > 20) & (y < 84)).all()
    assert wanted[chosen].max() == pytest.approx(1.0, abs=1e-3)
    assert (wanted[~chosen] == 0).all()


def test_ignored_people_cost_nothing():
    """Cells that claim somebody cost a lot, unless there is somebody who does not count."""
    cells = cells_of(96, 128)
    raw = perfect(cells, PERSON, -12.0)
    inside = (
        (cells.centre_px > torch.tensor(PERSON[:2])) & (cells.centre_px < torch.tensor(PERSON[2:]))
    ).all(1)
    raw[inside, 4] = 4.0
    false_alarm, _ = detection_loss(raw[None], truth_of(NOBODY), cells)
    ignored, _ = detection_loss(raw[None], truth_of(NOBODY, torch.tensor([PERSON])), cells)
    assert ignored < 0.02
    assert false_alarm > 10


def test_the_box_of_who_is_worth_more_costs_more():
    """Twice the worth is twice the box's loss and the same score's."""
    cells, box = cells_of(96, 128), torch.tensor([PERSON])
    raw = perfect(cells, (44.0, 20.0, 76.0, 84.0), 0.0)[None]
    score, plain = detection_loss(raw, truth_of(box), cells)
    more, twice = detection_loss(raw, truth_of(box, worth=2 * torch.ones(1)), cells)
    assert plain > 0.1
    assert twice.item() == pytest.approx(2 * plain.item())
    assert more.item() == pytest.approx(score.item())


def test_pictures_of_a_batch_are_judged_each_by_its_own_truth():
    """However many boxes the others have, the losses are those of each picture alone."""
    cells, box = cells_of(96, 128), torch.tensor([PERSON])
    raw = torch.stack([perfect(cells, (44.0, 20.0, 76.0, 84.0), 0.0)] * 3)
    people = [box, NOBODY, torch.cat([box, box + 30])]
    both = Truth.of(people, [NOBODY, box, NOBODY], [torch.ones(len(own)) for own in people])
    owner, wanted = assigned(decoded(raw, cells), raw[..., 4], both, cells)
    for k, own in enumerate(people):
        alone = assigned(decoded(raw[:1], cells), raw[:1, :, 4], truth_of(own), cells)
        assert (owner[k] == alone[0][0]).all()
        assert torch.equal(wanted[k], alone[1][0])
    assert (owner[1] == -1).all()
    assert set(owner[2].tolist()) == {-1, 0, 1}


def test_generalised_iou_tells_how_far_apart_boxes_are():
    """1 for equal boxes, below 0 and falling with the distance for those that do not touch."""
    one = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert generalised_iou(one, one).item() == pytest.approx(1.0)
    near, far = (generalised_iou(one, one + step).item() for step in (20.0, 90.0))
    assert -1 < far < near < 0


def test_the_network_learns_a_single_picture():
    """Some steps on one picture bring the loss down and the right cell up."""
    torch.manual_seed(0)
    network, cells, box = Detection(), cells_of(96, 128), torch.tensor([PERSON])
    picture = torch.zeros(1, 3, 96, 128)
    picture[:, :, 20:84, 40:72] = 1.0
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        raw = network(picture)
        loss = sum(detection_loss(raw, truth_of(box), cells))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert math.isfinite(losses[-1])
    assert losses[-1] < losses[0] / 2
    best = raw[0, :, 4].argmax()
    x, y = cells.centre_px[best].tolist()
    assert 40 < x < 72
    assert 20 < y < 84
