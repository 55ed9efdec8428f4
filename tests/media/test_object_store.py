import threading
from pathlib import Path

import pytest

from plugins.errors import (
    InvalidInputError,
    MissingRecordingError,
    ObjectStoreUnavailableError,
    SpotOnError,
)
from plugins.media.object_store import ObjectStore, open_object_store
from tests.media.conftest import OpenBucket
from tests.media.faulty_proxy import FaultyProxy

CONTENT = bytes(range(256)) * 4096
BAD_KEYS = ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/..", "a\\b", "a\x00b", "a/"]


def test_what_is_put_can_be_listed_and_read(store: ObjectStore, tmp_path: Path):
    """Bytes and files go in; listing, size, ranges and streams agree about them."""
    source = tmp_path / "clip.mp4"
    source.write_bytes(CONTENT)
    put = store.put("campus/c01/sub_video_01.mp4", source)
    store.put("campus/c02/sub_video_01.mp4", b"small")
    assert put.size == len(CONTENT)
    assert put.etag
    assert [(o.key, o.size) for o in store.list("campus/")] == [
        ("campus/c01/sub_video_01.mp4", len(CONTENT)),
        ("campus/c02/sub_video_01.mp4", 5),
    ]
    assert store.list("campus/c01/")[0].etag == store.head(put.key).etag == put.etag
    assert store.read_range(put.key, 1000, 300) == CONTENT[1000:1300]
    assert b"".join(store.stream(put.key)) == CONTENT
    assert b"".join(store.stream(put.key, 700_000, put.etag)) == CONTENT[700_000:]


def test_a_prefix_is_the_beginning_of_a_key(store: ObjectStore):
    for key in ("a/b1.txt", "a/b2.txt", "ab/c.txt"):
        store.put(key, b"x")
    assert [o.key for o in store.list("a/b")] == ["a/b1.txt", "a/b2.txt"]
    assert [o.key for o in store.list("a")] == ["a/b1.txt", "a/b2.txt", "ab/c.txt"]
    assert len(store.list("")) == 3
    assert not store.list("nothing/here/")


def test_a_range_ends_with_the_object(store: ObjectStore):
    store.put("a.txt", b"0123456789")
    assert store.read_range("a.txt", 8, 100) == b"89"
    assert store.read_range("a.txt", 10, 5) == b""
    assert store.read_range("a.txt", 3, 0) == b""


def test_a_key_that_is_not_there_is_a_missing_recording(store: ObjectStore):
    assert not store.exists("c01/none.mp4")
    for attempt in (
        lambda: store.head("c01/none.mp4"),
        lambda: store.read_range("c01/none.mp4", 0, 10),
        lambda: list(store.stream("c01/none.mp4")),
    ):
        with pytest.raises(MissingRecordingError, match=r"c01/none\.mp4.*(upload|put)"):
            attempt()


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_stay_inside_the_store(store: ObjectStore, key: str):
    """Neither reading nor writing takes a key that could point elsewhere."""
    for attempt in (
        lambda: store.put(key, b"x"),
        lambda: store.read_range(key, 0, 1),
        lambda: store.local_path(key),
        lambda: list(store.stream(key)),
    ):
        with pytest.raises(InvalidInputError, match="object key"):
            attempt()


def test_an_object_that_changed_is_not_read_on(store: ObjectStore):
    """A download that goes on must not mix two versions."""
    old = store.put("a.mp4", b"first version")
    new = store.put("a.mp4", b"another version")
    assert old.etag != new.etag
    with pytest.raises(ObjectStoreUnavailableError, match="changed while it was read"):
        list(store.stream("a.mp4", 3, old.etag))


def test_a_store_that_is_not_there_is_named_with_the_remedy(
    tmp_path: Path, open_bucket: OpenBucket
):
    for store, name in (
        (open_object_store((tmp_path / "none").as_uri()), "none"),
        (open_bucket("s3://no-such-bucket"), "no-such-bucket"),
    ):
        for attempt in (
            lambda s=store: s.list(""),
            lambda s=store: s.head("a.mp4"),
            lambda s=store: s.put("a.mp4", b"x"),
            lambda s=store: s.read_range("a.mp4", 0, 1),
        ):
            with pytest.raises(InvalidInputError, match=rf"{name}.*create it"):
                attempt()


@pytest.mark.parametrize("url", ["", "s3://", "http://x/y", "file://host/x", "recordings", "s3:/b"])
def test_urls_that_name_no_store_are_refused(url: str):
    with pytest.raises(InvalidInputError, match=r"s3://bucket.*or file:///folder"):
        open_object_store(url)


def test_an_endpoint_that_is_no_url_is_refused(open_bucket: OpenBucket):
    with pytest.raises(InvalidInputError, match="endpoint"):
        open_bucket(endpoint_url="not a url")


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path):
    """A link inside the folder is followed only to what is inside as well."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "in.txt").write_text("fine")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "near.txt").symlink_to(folder / "in.txt")
    store = open_object_store(folder.as_uri())
    assert store.read_range("near.txt", 0, 10) == b"fine"
    assert [o.key for o in store.list("")] == ["in.txt", "near.txt"]
    with pytest.raises(InvalidInputError, match="symbolic link"):
        store.read_range("out.txt", 0, 10)


def test_a_failed_upload_leaves_the_old_file(tmp_path: Path):
    """Atomic: the old content stays, no half file and no leftovers are listed."""
    store = open_object_store(tmp_path.as_uri())
    store.put("a/x.bin", b"old")
    with pytest.raises(FileNotFoundError):
        store.put("a/x.bin", tmp_path / "not there")
    assert store.read_range("a/x.bin", 0, 10) == b"old"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.bin"]


def test_uploads_under_way_are_not_listed(tmp_path: Path):
    (tmp_path / ".x.bin.123.upload").write_bytes(b"half")
    assert not open_object_store(tmp_path.as_uri()).list("")


def test_readers_of_a_folder_never_see_half_a_file(tmp_path: Path):
    """One thread replaces an object again and again while another reads it."""
    store = open_object_store(tmp_path.as_uri())
    versions = [bytes([n]) * 100_000 for n in range(20)]
    store.put("x.bin", versions[0])

    def write() -> None:
        for version in versions:
            store.put("x.bin", version)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert store.read_range("x.bin", 0, 200_000) in versions
    writer.join()


def test_a_refused_connection_is_an_unavailable_store(open_bucket: OpenBucket, proxy: FaultyProxy):
    proxy.__exit__()
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    for attempt in (
        lambda: store.list(""),
        lambda: store.head("a.mp4"),
        lambda: store.read_range("a.mp4", 0, 10),
        lambda: list(store.stream("a.mp4")),
        lambda: store.put("a.mp4", b"x"),
    ):
        with pytest.raises(ObjectStoreUnavailableError, match=rf"{proxy.port}.*try again"):
            attempt()


def test_a_silent_store_is_unavailable_after_its_timeout(
    open_bucket: OpenBucket, proxy: FaultyProxy
):
    """Silent before the answer, and silent in the middle of it."""
    open_bucket().put("a.mp4", CONTENT)
    proxy.stall_after = 0
    store = open_bucket(endpoint_url=proxy.url, attempts=1, read_timeout_s=0.3)
    with pytest.raises(ObjectStoreUnavailableError, match=r"[Tt]ime"):
        list(store.stream("a.mp4"))
    proxy.stall_after = 300_000
    with pytest.raises(ObjectStoreUnavailableError, match=r"[Tt]ime"):
        list(store.stream("a.mp4"))


def test_a_trickle_is_a_break(open_bucket: OpenBucket, proxy: FaultyProxy):
    """A byte now and then keeps every socket timeout quiet, and would take for ever."""
    open_bucket().put("a.mp4", CONTENT)
    proxy.trickle_s = 0.05
    store = open_bucket(endpoint_url=proxy.url, attempts=1, read_timeout_s=1.5)
    with pytest.raises(ObjectStoreUnavailableError, match="came in"):
        list(store.stream("a.mp4"))


def test_an_answer_that_dies_in_the_middle_says_so(open_bucket: OpenBucket, proxy: FaultyProxy):
    open_bucket().put("a.mp4", CONTENT)
    proxy.cut_after = 400_000
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    received = []
    with pytest.raises(ObjectStoreUnavailableError, match=r"a\.mp4"):
        received.extend(store.stream("a.mp4"))
    assert CONTENT.startswith(b"".join(received))


def test_a_range_that_breaks_off_is_read_again(open_bucket: OpenBucket, proxy: FaultyProxy):
    """Two broken answers, the third is whole; always broken, and it ends."""
    open_bucket().put("a.mp4", CONTENT)
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    proxy.cut_after, proxy.faults_left = 100_000, 2
    assert store.read_range("a.mp4", 0, 500_000) == CONTENT[:500_000]
    proxy.faults_left = 1_000_000
    with pytest.raises(ObjectStoreUnavailableError):
        store.read_range("a.mp4", 0, 500_000)


@pytest.mark.parametrize(
    ("status", "code", "error", "match"),
    [
        ("500 Internal Server Error", "InternalError", ObjectStoreUnavailableError, "Internal"),
        ("503 Slow Down", "SlowDown", ObjectStoreUnavailableError, "SlowDown"),
        ("403 Forbidden", "AccessDenied", InvalidInputError, "AccessDenied.*access key"),
        ("403 Forbidden", "InvalidAccessKeyId", InvalidInputError, "check the access key"),
        ("301 Moved", "PermanentRedirect", InvalidInputError, "region"),
    ],
)
def test_answers_of_the_server_become_errors_that_help(
    open_bucket: OpenBucket,
    proxy: FaultyProxy,
    *,
    status: str,
    code: str,
    error: type[SpotOnError],
    match: str,
):
    """5xx may pass, and is worth another try; a refusal names bucket, endpoint and what to do."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    proxy.answer = head.encode() + b"\r\n" + body
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    with pytest.raises(error, match=match) as caught:
        store.list("campus/")
    assert proxy.url in str(caught.value)


def test_a_server_that_speaks_no_s3_is_unavailable(open_bucket: OpenBucket, proxy: FaultyProxy):
    """A login page, say, or another protocol altogether."""
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    for answer in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>no</html",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ):
        proxy.answer = answer
        with pytest.raises(ObjectStoreUnavailableError):
            store.list("campus/")


def test_a_server_that_ignores_ranges_is_noticed(open_bucket: OpenBucket, proxy: FaultyProxy):
    """Bytes from the start, taken for bytes of the middle, would spoil the file."""
    proxy.answer = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "x"\r\n\r\n0123456789'
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    with pytest.raises(ObjectStoreUnavailableError, match="range bytes=5-"):
        list(store.stream("a.mp4", 5))
