"""Everything one may tune in tracking, in seconds, metres and probabilities, never in frames."""

import msgspec

from plugins.errors import InvalidInputError


class TrackingParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one tracker; the defaults are meant for people walking indoors.

    Raises InvalidInputError when a value makes no sense.
    """

    # Boxes in one camera (ByteTrack, Zhang et al. 2022: low scores may continue, never begin).
    high_score: float = 0.45
    low_score: float = 0.15
    birth_score: float = 0.5
    min_iou: float = 0.25
    recover_margin: float = 0.3
    """A tracklet and a box that do not overlap enough are compared again, grown by this share."""
    confirm_hits: int = 3
    coast_s: float = 1.0
    """How long a tracklet may go unseen before it ends."""

    # People on the floor.
    acceleration_mps15: float = 0.5
    """Spectral density of the white acceleration noise, m/s^1.5."""
    walking_speed_mps: float = 0.8
    """Standard deviation of an unknown person's velocity, per axis."""
    max_speed_mps: float = 2.5
    position_bias_m: float = 0.07
    """What a fitted calibration may still be off by, per axis, whatever it claims."""
    max_uncertainty_m: float = 1.5
    """A measurement that is less certain than this neither begins a person nor is shown."""
    height_m: float = 1.7
    height_sigma_m: float = 0.1
    detection: float = 0.8
    """Chance that a camera detects a person who is in full view, until it is learnt."""
    hidden_loss: float = 1.0
    """The share of that which is lost where others hide the person wholly, until it is learnt."""
    detection_s: float = 60.0
    """How long it takes to learn both, in seconds of one person in view."""
    box_space: float = 4.6
    """Log of how many different boxes a picture has room for, over how many are false."""
    correlation_s: float = 0.2
    """For how long a detector errs the same way."""
    bias_s: float = 40.0
    """How long it takes to learn how a camera's boxes err, in seconds of one person in view."""
    box_evidence: float = 1.5
    """The most that one box of one person says for their existence, as log-odds."""
    existence_s: float = 1.0
    """For how long found and missed boxes say the same again."""
    birth_existence: float = -1.5
    """Log-odds that somebody seen by one camera for the first time exists."""
    shown_existence: float = 0.0
    still_evidence: float = 3.0
    """The most that one camera's boxes say for somebody new who has never moved."""
    still_m: float = 1.0
    """How far one must have come to have moved."""
    behind_share: float = 0.1
    """How often something in the room hides a person from a camera, until it is learnt."""
    behind_s: float = 4.0
    """After how long that may have changed for somebody who stands still."""
    behind_m: float = 2.0
    """After how far a walk it may."""
    end_existence: float = -5.0
    """Who never existed for certain is forgotten under this."""

    # Who is who.
    gate_probability: float = 0.99
    appearance_s: float = 2.0
    """How long a crop speaks for its tracklet, which may since have slipped to somebody else."""
    trust_recovery_s: float = 1.0
    """How soon a tracklet is trusted again after its box overlapped another."""
    stay_bonus: float = 2.0
    """Log-likelihood a tracklet's present person has ahead of any other."""
    birth_delay_s: float = 0.3
    split_after_s: float = 0.8
    merge_after_s: float = 0.5
    """For how long two people at one place say the same again about being one."""
    merge_evidence: float = -3.0
    """Log-odds of being two, under which two become one."""
    merge_distance_m: float = 0.8
    lost_after_s: float = 1.5
    """Unseen for longer, a person's floor position is no longer predicted."""
    shown_unseen_s: float = 0.5
    """How long a person nobody sees is still shown where they are expected."""
    forget_after_s: float = 1800.0
    arrivals_per_m2: float = 0.03
    """How densely people arrive, against one lost person who must be somewhere."""
    swap_distance_m: float = 1.5
    """Who is nearer to each other may be taken for each other."""
    swap_cost: float = 0.0
    """Log-odds against any two being exchanged, before boxes speak."""
    swap_evidence: float = 2.0
    """Log-odds from which two are exchanged after all."""
    lag_s: float = 2.0
    """How long a set waits for corrections before it is settled."""
    reconsider_s: float = 4.0
    """A new person may still turn out to be a lost one for this long."""
    recognise_s: float = 10.0
    """The same by looks."""

    # Appearance, as cosine of embeddings.
    same_cosine: float = 0.7
    """Nine to one for one person; at and above it a lost person is recognised, if no other comes
    close. A property of the embedding model, as is the next.
    """
    cosine_margin: float = 0.05
    different_cosine: float = 0.5
    """Nine to one against it; below, two crops are taken to show different people."""
    vectors_per_person: int = 12

    # Which crops are embedded.
    crops_per_set: int = 8
    min_crop_quality: float = 0.15
    better_quality: float = 1.4
    first_interval_s: float = 1.0
    longest_interval_s: float = 12.0

    def __post_init__(self) -> None:
        """Refuses settings that contradict each other."""
        _require(0 <= self.low_score <= self.high_score <= 1, "low_score <= high_score within 0..1")
        _require(0 < self.gate_probability < 1, "gate_probability between 0 and 1")
        _require(self.different_cosine < self.same_cosine, "different_cosine < same_cosine")
        _require(self.vectors_per_person >= 1, "vectors_per_person >= 1")
        _require(self.confirm_hits >= 1, "confirm_hits >= 1")
        _require(self.crops_per_set >= 0, "crops_per_set >= 0")
        _require(self.max_speed_mps > 0, "max_speed_mps > 0")
        _require(0 < self.behind_share < 1, "behind_share between 0 and 1")
        _require(self.behind_s > 0 and self.behind_m > 0, "behind_s > 0 and behind_m > 0")
        _require(self.still_m >= 0 and self.still_evidence >= 0, "still_m and still_evidence >= 0")


def _require(is_met: bool, rule: str) -> None:
    if not is_met:
        raise InvalidInputError(f"tracking parameters break a rule: set {rule}")
