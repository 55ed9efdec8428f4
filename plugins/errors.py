"""Everything that can go wrong on the frame path, named for what happened.

::

    SpotOnError
    ├── InvalidInputError             what the user gave cannot be used: say what and the remedy
    │   ├── UnknownEnvironmentError
    │   ├── UnknownCameraError
    │   ├── InvalidEnvironmentError   the environment's file is wrong
    │   ├── InvalidTimeRangeError
    │   └── InvalidModelError         an ONNX file that does not keep the model contract
    ├── RecordingError                one camera's recording; the other cameras go on
    │   ├── MissingRecordingError
    │   └── UnreadableVideoError      zero-byte, truncated, wrong codec, audio only, corrupt
    ├── UnavailableError              a service is away; worth trying again
    │   ├── ObjectStoreUnavailableError
    │   ├── TritonUnavailableError
    │   ├── DatabaseUnavailableError
    │   └── RedisUnavailableError
    ├── EncryptionKeyError            what is stored encrypted does not open with the key given
    ├── PortInUseError
    └── LeaseLostError                another worker has taken the task over

Every message names the thing (file, camera, URL) and what to do about it.
"""


class SpotOnError(Exception):
    """Base of all errors SpotOn raises on purpose. ``code`` is stable and machine readable."""

    code = "internal_error"


class InvalidInputError(SpotOnError):
    """What the user gave cannot be used."""

    code = "invalid_input"


class UnknownEnvironmentError(InvalidInputError):
    """No environment file of that name."""

    code = "environment_not_found"


class UnknownCameraError(InvalidInputError):
    """The environment has no such camera."""

    code = "camera_not_found"


class InvalidEnvironmentError(InvalidInputError):
    """The environment's file has a mistake."""

    code = "environment_invalid"


class InvalidTimeRangeError(InvalidInputError):
    """Start after end, or nothing recorded in between."""

    code = "time_range_invalid"


class InvalidModelError(InvalidInputError):
    """A model file that does not keep the contract."""

    code = "model_invalid"


class RecordingError(SpotOnError):
    """One camera's recording cannot be played; the others go on."""

    code = "recording_error"


class MissingRecordingError(RecordingError):
    """The object store holds no sub-video where one is needed."""

    code = "recording_missing"


class UnreadableVideoError(RecordingError):
    """The sub-video is there but cannot be decoded."""

    code = "video_unreadable"


class UnavailableError(SpotOnError):
    """A service is away; trying again later can help."""

    code = "service_unavailable"


class ObjectStoreUnavailableError(UnavailableError):
    """The object store refuses, times out or breaks off."""

    code = "object_store_unavailable"


class TritonUnavailableError(UnavailableError):
    """Triton does not answer, or has not got the model."""

    code = "triton_unavailable"


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL does not answer."""

    code = "database_unavailable"


class RedisUnavailableError(UnavailableError):
    """Redis does not answer."""

    code = "redis_unavailable"


class EncryptionKeyError(SpotOnError):
    """What is stored encrypted does not open with the key given."""

    code = "encryption_key_wrong"


class PortInUseError(SpotOnError):
    """Something else listens on the port."""

    code = "port_in_use"


class LeaseLostError(SpotOnError):
    """Another worker holds the task now."""

    code = "lease_lost"
