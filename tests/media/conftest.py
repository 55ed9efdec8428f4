"""Object stores for tests: a folder, and S3's protocol over HTTP."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from plugins.media.object_store import ObjectStore, open_object_store
from tests.media.faulty_proxy import FaultyProxy

OpenBucket = Callable[..., ObjectStore]


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Port of a server that speaks S3's protocol."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def bucket(s3_port: int) -> str:
    """Name of a new, empty bucket."""
    name = f"recordings-{uuid.uuid4().hex[:12]}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{s3_port}", region_name="us-east-1", **keys
    )
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def open_bucket(s3_port: int, bucket: str) -> OpenBucket:
    """Opens the bucket, at another endpoint or with other options if wanted."""

    def open_it(url: str = "", **options: Any) -> ObjectStore:
        options = {
            "endpoint_url": f"http://127.0.0.1:{s3_port}",
            "access_key": "test",
            "secret_key": "test",
            "region": "us-east-1",
            **options,
        }
        return open_object_store(url or f"s3://{bucket}/base", **options)

    return open_it


@pytest.fixture(params=["s3", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty object store of either kind."""
    if request.param == "file":
        folder = tmp_path / "recordings store"
        folder.mkdir()
        return open_object_store(folder.as_uri())
    open_it: OpenBucket = request.getfixturevalue("open_bucket")
    return open_it()


@pytest.fixture
def proxy(s3_port: int) -> Iterator[FaultyProxy]:
    """Stands between the store and its server; well behaved until a test says otherwise."""
    with FaultyProxy(s3_port) as running:
        yield running
