"""The part of the settings that a worker gets, its services' URLs filled in."""

from control_plane.access.master_key import master_key
from control_plane.health.profile import deepstream_settings
from control_plane.settings import Settings
from plugins.errors import InvalidInputError
from plugins.worker import WorkerSettings


def worker_settings(settings: Settings) -> WorkerSettings:
    """InvalidInputError when a service has no URL."""
    if not (settings.database_url and settings.redis_url and settings.triton_url):
        raise InvalidInputError("a worker needs DATABASE_URL, REDIS_URL and TRITON_URL")
    return WorkerSettings(
        database_url=settings.database_url,
        redis_url=settings.redis_url,
        triton_url=settings.triton_url,
        store_url=settings.store_url(),
        s3_endpoint_url=settings.s3_endpoint_url,
        cache_dir=settings.data_dir.resolve() / "cache",
        cache_max_bytes=settings.cache_max_bytes,
        frames_kept=settings.frames_kept,
        updates_kept=settings.updates_kept,
        jpeg_quality=settings.jpeg_quality,
        score_threshold=settings.score_threshold,
        model_repository=settings.model_repository.resolve(),
        service_patience_s=settings.service_patience_s,
        master_key=master_key(settings),
        deepstream=deepstream_settings(settings),
        tracing_url=settings.tracing_url,
    )
