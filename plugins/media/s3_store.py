"""An S3 bucket, or any store that speaks its protocol, as an ``ObjectStore``."""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from plugins.errors import (
    InvalidInputError,
    MissingRecordingError,
    ObjectStoreUnavailableError,
    SpotOnError,
)
from plugins.media.object_store import CHUNK_BYTES, StoredObject, checked_key, has_object, opened

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

_BODY_ATTEMPTS = 3
_MD5 = re.compile(r"[0-9a-f]{32}")
_BARE_404 = frozenset({"NotFound", "404"})
_TRANSIENT = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "429"})


def open_s3_store(
    bucket: str,
    base: str,
    *,
    endpoint_url: str | None,
    region: str | None,
    access_key: str | None,
    secret_key: str | None,
    connect_timeout_s: float,
    read_timeout_s: float,
    attempts: int,
) -> "S3Store":
    """See ``open_object_store``. Raises InvalidInputError for an endpoint that is no URL."""
    config = Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        max_pool_connections=16,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path" if endpoint_url else "auto"},
        # Stores other than AWS often refuse the newer checksum trailers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=config,
        )
    except (ValueError, BotoCoreError) as error:
        raise InvalidInputError(
            f"cannot set up S3 access to s3://{bucket} at {endpoint_url or 'AWS'}: {error}; "
            "check the endpoint URL (http://host:port), the region and the credentials"
        ) from error
    return S3Store(client, bucket, base, read_timeout_s)


class S3Store:
    """Objects of one bucket, below an optional base key. boto3 clients are thread-safe."""

    def __init__(self, client: "S3Client", bucket: str, base: str, read_timeout_s: float) -> None:
        self._client = client
        self._bucket = bucket
        self._base = f"{base}/" if base else ""
        self._read_timeout_s = read_timeout_s
        self._where = f"bucket {bucket!r} at {client.meta.endpoint_url}"

    @property
    def url(self) -> str:
        """Bucket and base; the endpoint too, because two endpoints may have the same bucket."""
        return f"s3://{self._bucket}/{self._base} at {self._client.meta.endpoint_url}"

    def list(self, prefix: str) -> Sequence[StoredObject]:
        """As ``ObjectStore.list``."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._failures(prefix):
            contents = [
                item
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._base + prefix)
                for item in page.get("Contents", [])
            ]
        found = (
            StoredObject(i["Key"][len(self._base) :], i["Size"], i["ETag"].strip('"'))
            for i in contents
        )
        return sorted((o for o in found if not o.key.endswith("/")), key=lambda o: o.key)

    def head(self, key: str) -> StoredObject:
        """As ``ObjectStore.head``."""
        with self._failures(key):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._full(key))
        etag = answer["ETag"].strip('"')
        # With KMS or customer keys the etag looks like an MD5 and is none.
        is_md5 = _MD5.fullmatch(etag) and answer.get("ServerSideEncryption", "AES256") == "AES256"
        md5 = etag if is_md5 and not answer.get("SSECustomerAlgorithm") else ""
        return StoredObject(key, answer["ContentLength"], etag, md5)

    def exists(self, key: str) -> bool:
        """As ``ObjectStore.exists``."""
        return has_object(self, key)

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """As ``ObjectStore.read_range``; an answer that breaks off is asked for again."""
        if length <= 0:
            return b""
        byte_range = f"bytes={start}-{start + length - 1}"
        for _ in range(_BODY_ATTEMPTS - 1):
            chunks: list[bytes] = []
            try:
                chunks.extend(self._body(key, byte_range))
                return b"".join(chunks)
            except ObjectStoreUnavailableError:
                if not chunks:  # refused or silent: the client has tried often enough
                    raise
        return b"".join(self._body(key, byte_range))

    def stream(self, key: str, start: int = 0, etag: str = "") -> Iterator[bytes]:
        """As ``ObjectStore.stream``."""
        return self._body(key, f"bytes={start}-" if start else "", etag)

    def put(self, key: str, source: Path | bytes) -> StoredObject:
        """As ``ObjectStore.put``; large files go up in parts."""
        name = self._full(key)
        with opened(source) as file, self._failures(key):
            self._client.upload_fileobj(file, self._bucket, name)
        return self.head(key)

    def delete(self, key: str) -> None:
        """As ``ObjectStore.delete``."""
        with self._failures(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._full(key))

    def local_path(self, key: str) -> None:
        """None: the bytes are elsewhere."""
        checked_key(key)

    def _full(self, key: str) -> str:
        return self._base + checked_key(key)

    def _body(self, key: str, byte_range: str, etag: str = "") -> Iterator[bytes]:
        request: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": self._full(key)}
        if byte_range:
            request["Range"] = byte_range
        if etag:
            request["IfMatch"] = f'"{etag}"'
        with self._failures(key):
            try:
                answer = self._client.get_object(**request)
            except ClientError as error:
                if _code(error) in {"InvalidRange", "416"}:
                    return
                raise
            with answer["Body"] as raw:
                if byte_range and not _is_range(answer.get("ContentRange", ""), byte_range):
                    raise self._unavailable(key, f"it does not serve the range {byte_range}")
                yield from self._chunks(raw, answer["ContentLength"], key)

    def _chunks(self, raw: Any, length: int, key: str) -> Iterator[bytes]:
        """Bytes as they come: a trickle below CHUNK_BYTES per read timeout counts as a break."""
        received, paid_until, waited_s = 0, CHUNK_BYTES, 0.0
        while received < length:
            before_s = time.monotonic()
            chunk: bytes = raw.read1(CHUNK_BYTES)
            waited_s += time.monotonic() - before_s
            received += len(chunk)
            if not chunk:
                raise self._unavailable(key, f"the answer broke off at {received} of {length} B")
            if received >= paid_until:
                paid_until, waited_s = received + CHUNK_BYTES, 0.0
            elif waited_s > self._read_timeout_s and received < length:
                raise self._unavailable(key, f"only {received} B came in {waited_s:.0f} s")
            yield chunk

    @contextlib.contextmanager
    def _failures(self, key: str) -> Iterator[None]:
        """Turns what boto3 raises into SpotOn's errors."""
        try:
            yield
        except ClientError as error:
            raise self._refusal(error, key) from error
        except (NoCredentialsError, PartialCredentialsError, ProfileNotFound, NoRegionError) as e:
            raise InvalidInputError(
                f"no usable credentials for {self._where}: {e}; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or give this machine a profile or role"
            ) from e
        except ParamValidationError as error:
            raise InvalidInputError(f"{self._where}: {error}; correct the S3 URL") from error
        except (
            RecursionError,
            BotoCoreError,
            Boto3Error,
            HTTPError,
            ResponseParserError,
            OSError,
        ) as error:
            if _is_endless(error):
                raise InvalidInputError(
                    f"{self._where} redirects in circles: check the endpoint and the region"
                ) from error
            raise self._unavailable(key, str(error) or type(error).__name__) from error

    def _unavailable(self, key: str, what: str) -> ObjectStoreUnavailableError:
        return ObjectStoreUnavailableError(
            f"object store: {key or 'list'!r} of {self._where}: {what}; check that the endpoint "
            "runs and is reachable, then try again"
        )

    def _refusal(self, error: ClientError, key: str) -> SpotOnError:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket" or (code in _BARE_404 and not self._has_bucket()):
            return InvalidInputError(f"there is no {self._where}: create it or correct the S3 URL")
        if code == "NoSuchKey" or code in _BARE_404:
            return MissingRecordingError(f"{self._where} has no {key!r}: upload it")
        if code == "PreconditionFailed":
            return self._unavailable(key, "it changed while it was read")
        if status >= 500 or code in _TRANSIENT:
            return self._unavailable(key, f"it answers {code or status}")
        return InvalidInputError(
            f"{self._where} refuses {key or 'list'!r} ({code}): check the access key, its rights "
            "to list, read and write there, the region, and this machine's clock"
        )

    def _has_bucket(self) -> bool:
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            return _code(error) not in {"NoSuchBucket", *_BARE_404}
        except BotoCoreError:
            pass
        return True


def _is_endless(error: BaseException | None) -> bool:
    """Whether botocore followed redirects until the stack was full, and where it happened to be
    then: in the middle of a request it raises an error of its own for that.
    """
    while error is not None and not isinstance(error, RecursionError):
        error = error.__cause__ or error.__context__
    return error is not None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_range(content_range: str, asked: str) -> bool:
    """Whether ``bytes 5-9/10`` starts where ``bytes=5-`` asked; some proxies ignore ranges."""
    start = asked.removeprefix("bytes=").partition("-")[0]
    return content_range.startswith(f"bytes {start}-")
