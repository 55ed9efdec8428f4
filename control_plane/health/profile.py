"""Which profile this machine's workers run as, from the settings and from what is there."""

from control_plane.settings import Settings
from plugins.deepstream.configuration import DeepStreamSettings
from plugins.deepstream.presence import Profile, choose_profile, look_around


def chosen_profile(settings: Settings) -> Profile:
    """``cpu`` or ``gpu`` and why. InvalidInputError when SPOTON_PROFILE=gpu cannot be had."""
    return choose_profile(settings.profile, look_around())


def require_profile(settings: Settings) -> None:
    """InvalidInputError when SPOTON_PROFILE=gpu cannot be had: before anything is started."""
    if settings.profile == "gpu":
        chosen_profile(settings)


def deepstream_settings(settings: Settings) -> DeepStreamSettings | None:
    """The pipeline's set-up; None on the CPU profile."""
    if chosen_profile(settings).name == "cpu":
        return None
    return DeepStreamSettings(
        configs=settings.deepstream_configs,
        model_repository=settings.model_repository,
        triton_url=(settings.triton_url or "").removeprefix("grpc://"),
        work_dir=settings.data_dir.resolve() / "deepstream",
        inference=settings.deepstream_inference,
        tracker=settings.deepstream_tracker,
        shares_cuda_buffers=settings.deepstream_shares_cuda_buffers,
        jpeg_quality=settings.jpeg_quality,
        score_threshold=settings.score_threshold,
    )
