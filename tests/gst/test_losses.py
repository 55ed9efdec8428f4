"""Losses of a decoder, told from what went in and what came out."""

from plugins.gst.losses import LossCount


def feed(losses: LossCount, times: list[int], keys: set[int], clip_key: str = "a") -> None:
    for time in times:
        losses.fed(time, time in keys, clip_key)


def test_nothing_is_lost_while_all_come_out() -> None:
    """Decoding order differs from media time; that is no loss."""
    losses = LossCount()
    feed(losses, [0, 3, 1, 2], {0})
    assert [losses.decoded(t) for t in range(4)] == [False] * 4
    losses.drained()
    assert losses.problems() == []


def test_frames_after_a_loss_are_damaged_until_a_key_frame() -> None:
    """The frame that shows the loss, and those that build on it, are marked."""
    losses = LossCount()
    feed(losses, [0, 1, 2, 3, 4, 5], {0, 4})
    assert [losses.decoded(t) for t in (0, 2, 3, 4, 5)] == [False, True, True, False, False]


def test_losses_at_the_end_count_when_the_decoder_is_empty() -> None:
    """Nothing comes after the last frame to prove its loss; draining does."""
    losses = LossCount()
    feed(losses, [0, 1], {0}, "a")
    feed(losses, [2, 3], {2}, "b")
    losses.decoded(0)
    losses.decoded(2)
    losses.drained()
    assert [p.split(" frames")[0] for p in losses.problems()] == ["a: 1 of 2", "b: 1 of 2"]


def test_a_clip_given_up_with_its_decoder_is_not_blamed_twice() -> None:
    """It is reported as broken off; what other clips lost is still told."""
    losses = LossCount()
    feed(losses, [0, 1, 2], {0}, "a")
    feed(losses, [3, 4, 5, 6], {3}, "b")
    for time in (0, 2, 3, 5):
        losses.decoded(time)
    losses.forget("b")
    losses.drained()
    assert [p.split(" frames")[0] for p in losses.problems()] == ["a: 1 of 3"]
