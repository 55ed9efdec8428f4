"""S3's protocol over HTTP on this machine, filled with a folder's files."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@contextmanager
def bucket_of(folder: Path) -> Iterator[dict[str, str]]:
    """Serves the files below ``folder`` as a bucket; gives the settings that make SpotOn use it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        endpoint = "http://127.0.0.1:{1}".format(*server.get_host_and_port())
        # All servers of a process share their buckets.
        bucket = f"recordings-{uuid.uuid4().hex[:12]}"
        upload(folder, endpoint, bucket)
        yield {
            "SPOTON_OBJECT_STORE_URL": f"s3://{bucket}",
            "S3_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": REGION,
            **KEYS,
        }
    finally:
        server.stop()


def upload(folder: Path, endpoint: str, bucket: str) -> None:
    """Makes ``bucket`` with every file below ``folder``, keys relative to it."""
    secrets = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, **secrets)
    client.create_bucket(Bucket=bucket)
    for path in folder.rglob("*.mp4"):
        client.upload_file(str(path), bucket, path.relative_to(folder).as_posix())
