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
    acceleration_mps15: float = 0.6
    """Spectral density of the white acceleration noise, m/s^1.5."""
    walking_speed_mps: float = 0.8
    """Standard deviation of an unknown person's velocity, per axis."""
    max_speed_mps: float = 2.5
    position_bias_m: float = 0.25
    """What a fitted calibration may still be off by, per axis, whatever it claims."""
    max_uncertainty_m: float = 1.5
    """A measurement that is less certain than this neither begins a person nor is shown."""
    height_m: float = 1.7
    height_sigma_m: float = 0.2

    # Who is who.
    gate_probability: float = 0.99
    evidence_s: float = 0.2
    """Memory of the evidence that ties a tracklet to a person; longer resists flips for longer."""
    appearance_s: float = 2.0
    """How long a crop speaks for its tracklet, which may since have slipped to somebody else."""
    trust_recovery_s: float = 1.0
    """How soon a tracklet is trusted again after its box overlapped another."""
    stay_bonus: float = 2.0
    """Log-likelihood a tracklet's present person has ahead of any other."""
    birth_delay_s: float = 0.3
    split_after_s: float = 0.8
    merge_after_s: float = 1.0
    merge_distance_m: float = 0.8
    lost_after_s: float = 1.5
    """Unseen for longer, a person's floor position is no longer predicted."""
    min_support: float = 0.75
    """A person three cameras could see is shown when seen by two, or by one without doubt."""
    support_s: float = 1.0
    shown_unseen_s: float = 0.5
    """How long a person nobody sees is still shown where they are expected."""
    forget_after_s: float = 1800.0
    reconsider_s: float = 4.0
    """A new person may still turn out to be a lost one for this long."""

    # Appearance, as cosine of embeddings.
    same_cosine: float = 0.7
    """At and above it a lost person is recognised, if no other comes close."""
    cosine_margin: float = 0.05
    different_cosine: float = 0.5
    """Below it two crops are taken to show different people."""
    cosine_weight: float = 10.0
    """Log-likelihood per unit of cosine above the middle of the two, at most two each way."""
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
        _require(self.different_cosine <= self.same_cosine, "different_cosine <= same_cosine")
        _require(self.vectors_per_person >= 1, "vectors_per_person >= 1")
        _require(self.confirm_hits >= 1, "confirm_hits >= 1")
        _require(self.crops_per_set >= 0, "crops_per_set >= 0")
        _require(self.max_speed_mps > 0, "max_speed_mps > 0")


def _require(is_met: bool, rule: str) -> None:
    if not is_met:
        raise InvalidInputError(f"tracking parameters break a rule: set {rule}")
