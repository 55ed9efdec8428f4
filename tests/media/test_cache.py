import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plugins.errors import MissingRecordingError, ObjectStoreUnavailableError, UnavailableError
from plugins.media.cache import ClipCache, FetchStopped, Prefetcher
from plugins.media.object_store import ObjectStore, open_object_store
from plugins.media.timeline import SubVideo
from tests.media.conftest import OpenBucket
from tests.media.faulty_proxy import FaultyProxy
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).resolve().parents[2]
MANY = 1 << 30
FETCH_IN_CHILD = """
import sys
from pathlib import Path
from plugins.media.cache import ClipCache
from plugins.media.object_store import open_object_store
url, endpoint, folder, key = sys.argv[1:]
store = open_object_store(
    url, endpoint_url=endpoint, access_key="test", secret_key="test", region="us-east-1"
)
print(ClipCache(Path(folder), store, 1 << 30).fetch(key), flush=True)
sys.stdin.read()
"""


def content(number: int, size: int = 1_000_000) -> bytes:
    return hashlib.sha256(str(number).encode()).digest() * (size // 32)


def files(folder: Path, suffix: str = ".mp4") -> list[Path]:
    return sorted(folder.glob(f"*{suffix}"))


def start_child(bucket: str, endpoint: str, folder: Path, key: str) -> subprocess.Popen[str]:
    arguments = [f"s3://{bucket}/base", endpoint, str(folder), key]
    return subprocess.Popen(
        [sys.executable, "-c", FETCH_IN_CHILD, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_clip_is_downloaded_once(open_bucket: OpenBucket, proxy: FaultyProxy, tmp_path: Path):
    """Also by the next process, which checks it against its checksum."""
    open_bucket().put("a.mp4", content(1))
    store = open_bucket(endpoint_url=proxy.url)
    first = ClipCache(tmp_path, store, MANY)
    assert first.fetch("a.mp4").read_bytes() == content(1)
    assert first.fetch("a.mp4") == ClipCache(tmp_path, store, MANY).fetch("a.mp4")
    assert sum(head.startswith("GET") for head in proxy.requests) == 1
    assert files(tmp_path, ".part") == []


def test_files_of_a_folder_are_used_in_place(tmp_path: Path):
    store = open_object_store((tmp_path).as_uri())
    store.put("c01/a.mp4", b"x")
    cache = ClipCache(tmp_path / "cache", store, MANY)
    assert cache.fetch("c01/a.mp4") == tmp_path / "c01" / "a.mp4"
    cache.release(tmp_path / "c01" / "a.mp4")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_clip_is_told(store: ObjectStore, tmp_path: Path):
    with pytest.raises(MissingRecordingError, match=r"c01/a\.mp4"):
        ClipCache(tmp_path, store, MANY).fetch("c01/a.mp4")


def test_a_changed_object_is_downloaded_again(open_bucket: OpenBucket, tmp_path: Path):
    store = open_bucket()
    cache = ClipCache(tmp_path, store, MANY)
    for number in (1, 2):
        store.put("a.mp4", content(number))
        assert cache.fetch("a.mp4").read_bytes() == content(number)


def test_a_damaged_copy_is_replaced(open_bucket: OpenBucket, tmp_path: Path):
    """Same size, other bytes: the checksum tells."""
    store = open_bucket()
    store.put("a.mp4", content(1))
    first = ClipCache(tmp_path, store, MANY)
    path = first.fetch("a.mp4")
    first.close()
    path.write_bytes(content(2))
    assert ClipCache(tmp_path, store, MANY).fetch("a.mp4").read_bytes() == content(1)


def test_a_broken_download_goes_on_where_it_broke(
    open_bucket: OpenBucket, proxy: FaultyProxy, tmp_path: Path
):
    """Two breaks within one fetch: three ranges, each behind the last, and the right bytes."""
    open_bucket().put("a.mp4", content(1, 2_000_000))
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    proxy.cut_after, proxy.faults_left = 700_000, 2
    path = ClipCache(tmp_path, store, MANY).fetch("a.mp4")
    assert path.read_bytes() == content(1, 2_000_000)
    first, second = proxy.ranges()
    assert 0 < first < second


def test_what_breaks_too_often_goes_on_next_time(
    open_bucket: OpenBucket, proxy: FaultyProxy, tmp_path: Path
):
    open_bucket().put("a.mp4", content(1, 2_000_000))
    cache = ClipCache(tmp_path, open_bucket(endpoint_url=proxy.url, attempts=1), MANY)
    proxy.cut_after = 300_000
    with pytest.raises(ObjectStoreUnavailableError):
        cache.fetch("a.mp4")
    assert files(tmp_path) == []
    (part,) = files(tmp_path, ".part")
    already = part.stat().st_size
    assert already > 0
    proxy.cut_after = None
    proxy.requests.clear()
    assert cache.fetch("a.mp4").read_bytes() == content(1, 2_000_000)
    assert proxy.ranges() == [already]


def test_bytes_that_do_not_match_their_md5_are_thrown_away(open_bucket: OpenBucket, tmp_path: Path):
    """A part left behind with wrong bytes does not become a clip."""
    store = open_bucket()
    store.put("a.mp4", content(1))
    cache = ClipCache(tmp_path, store, MANY)
    path = cache.fetch("a.mp4")
    cache.close()
    path.unlink()
    path.with_suffix(".part").write_bytes(content(2, 500_000))
    with pytest.raises(ObjectStoreUnavailableError, match="do not match"):
        cache.fetch("a.mp4")
    assert files(tmp_path) == files(tmp_path, ".part") == []
    assert cache.fetch("a.mp4").read_bytes() == content(1)


def test_a_killed_process_leaves_no_half_clip(
    open_bucket: OpenBucket, bucket: str, proxy: FaultyProxy, tmp_path: Path
):
    """SIGKILL in the middle of a download: the next process goes on with what is there."""
    open_bucket().put("a.mp4", content(1, 4_000_000))
    proxy.stall_after, proxy.faults_left = 1_500_000, 1
    with start_child(bucket, proxy.url, tmp_path, "a.mp4") as child:
        wait_until(lambda: sum(p.stat().st_size for p in files(tmp_path, ".part")) > 1_000_000)
        os.kill(child.pid, signal.SIGKILL)
    assert files(tmp_path) == []
    proxy.requests.clear()
    path = ClipCache(tmp_path, open_bucket(endpoint_url=proxy.url), MANY).fetch("a.mp4")
    assert path.read_bytes() == content(1, 4_000_000)
    assert proxy.ranges()[0] > 1_000_000


def test_processes_and_threads_share_one_download(
    open_bucket: OpenBucket, bucket: str, proxy: FaultyProxy, tmp_path: Path
):
    """Two processes and two threads want the same clip: it comes over the network once."""
    open_bucket().put("a.mp4", content(1, 4_000_000))
    cache = ClipCache(tmp_path, open_bucket(endpoint_url=proxy.url), MANY)
    children = [start_child(bucket, proxy.url, tmp_path, "a.mp4") for _ in range(2)]
    threads = [threading.Thread(target=cache.fetch, args=("a.mp4",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    printed = [child.communicate()[0].strip() for child in children]
    assert printed == [str(cache.fetch("a.mp4"))] * 2
    assert sum(head.startswith("GET") for head in proxy.requests) == 1


def test_least_recently_used_clips_make_room(open_bucket: OpenBucket, tmp_path: Path):
    """Three fit; the fourth removes the one that was used longest ago."""
    store = open_bucket()
    for number in range(4):
        store.put(f"{number}.mp4", content(number))
    cache = ClipCache(tmp_path, store, 3_100_000)
    paths = [cache.fetch(f"{number}.mp4") for number in range(3)]
    cache.close()
    for age, path in enumerate([paths[1], paths[0], paths[2]]):
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    paths.append(cache.fetch("3.mp4"))
    assert [path.exists() for path in paths] == [True, False, True, True]
    assert len(files(tmp_path, ".json")) == 3


def test_a_clip_in_use_is_never_removed(
    open_bucket: OpenBucket, bucket: str, s3_port: int, tmp_path: Path
):
    """Held by this process or by another one: the cache rather grows beyond its size."""
    store = open_bucket()
    for number in range(4):
        store.put(f"{number}.mp4", content(number))
    cache = ClipCache(tmp_path, store, 500_000)
    mine = cache.fetch("0.mp4")
    with start_child(bucket, f"http://127.0.0.1:{s3_port}", tmp_path, "1.mp4") as child:
        assert child.stdout is not None
        theirs = Path(child.stdout.readline().strip())
        released = cache.fetch("2.mp4")
        cache.release(released)
        cache.fetch("3.mp4")
        assert [p.exists() for p in (mine, theirs, released)] == [True, True, False]
        os.kill(child.pid, signal.SIGKILL)
    cache.close()
    cache.fetch("2.mp4")
    assert not mine.exists()
    assert not theirs.exists()


def test_a_clip_fetched_twice_is_held_until_released_twice(open_bucket: OpenBucket, tmp_path: Path):
    store = open_bucket()
    store.put("0.mp4", content(0))
    store.put("1.mp4", content(1))
    cache = ClipCache(tmp_path, store, 1)
    path = cache.fetch("0.mp4")
    assert cache.fetch("0.mp4") == path
    cache.release(path)
    cache.release(cache.fetch("1.mp4"))
    assert path.exists()
    cache.release(path)
    cache.release(path)
    cache.fetch("1.mp4")
    store.put("2.mp4", content(2))
    cache.fetch("2.mp4")
    assert not path.exists()


def test_old_parts_are_cleaned_up_and_new_ones_kept(store: ObjectStore, tmp_path: Path):
    """A download that broke yesterday is nobody's; one that runs is somebody's."""
    for name in ("old.part", "old.json", "new.part"):
        (tmp_path / name).write_bytes(b"x")
        if name.startswith("old"):
            os.utime(tmp_path / name, (1_000_000, 1_000_000))
    ClipCache(tmp_path, store, MANY)
    assert [path.name for path in tmp_path.glob("*.*")] == ["new.part"]


def test_a_download_stops_when_asked(open_bucket: OpenBucket, tmp_path: Path):
    store = open_bucket()
    store.put("a.mp4", content(1, 4_000_000))
    stop = threading.Event()
    with pytest.raises(FetchStopped):
        ClipCache(tmp_path, store, MANY).fetch("a.mp4", on_bytes=lambda _: stop.set(), stop=stop)


def test_a_disk_that_cannot_be_written_is_named(store: ObjectStore, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match=r"clip cache .*file/cache.*free space"):
        ClipCache(tmp_path / "file" / "cache", store, MANY)


def sub_videos(store: ObjectStore, camera: str, count: int) -> list[SubVideo]:
    """Uploads ``count`` clips of one second."""
    keys = [f"{camera}/sub_video_{number:02d}.mp4" for number in range(count)]
    sizes = [store.put(key, content(n)).size for n, key in enumerate(keys)]
    return [
        SubVideo(camera, key, n * 10**9, 10**9, 10, 320, 240, 10**8, size)
        for n, (key, size) in enumerate(zip(keys, sizes, strict=True))
    ]


def test_every_camera_gets_its_clips_in_order(store: ObjectStore, tmp_path: Path):
    """Only those of the time range; progress counts bytes up to all of them."""
    wanted = {camera: sub_videos(store, camera, 5) for camera in ("c01", "c02")}
    cache = ClipCache(tmp_path / "cache", store, MANY)
    with Prefetcher(cache, wanted, 1_500_000_000, 4_000_000_000) as prefetcher:
        for camera, own in wanted.items():
            clips = list(prefetcher.clips(camera))
            assert [clip.sub_video for clip in clips] == own[1:4]
            assert [c.path.read_bytes() for c in clips if c.path] == [content(n) for n in (1, 2, 3)]
        sizes = [s.size_bytes for own in wanted.values() for s in own[1:4]]
        assert prefetcher.progress() == (sum(sizes), sum(sizes))


def test_it_stays_a_few_clips_ahead(open_bucket: OpenBucket, tmp_path: Path):
    """Nothing asked for: the first and two more; what was played is let go."""
    store = open_bucket()
    wanted = {"c01": sub_videos(store, "c01", 9)}
    cache = ClipCache(tmp_path, store, 1)
    with Prefetcher(cache, wanted, 0, 10**12, ahead=2) as prefetcher:
        wait_until(lambda: len(files(tmp_path)) == 3)
        clips = prefetcher.clips("c01")
        seen = [next(clips).path for _ in range(5)]
        wait_until(lambda: prefetcher.progress()[0] == 7 * 1_000_000)
        assert [path.exists() for path in seen if path] == [False, False, False, True, True]
        next(clips)


def test_a_missing_clip_costs_only_itself(open_bucket: OpenBucket, tmp_path: Path):
    """The line says which, the next clips and the other camera go on."""
    store = open_bucket()
    wanted = {camera: sub_videos(store, camera, 3) for camera in ("c01", "c02")}
    gone = SubVideo("c01", "c01/gone.mp4", 10**9, 10**9, 10, 320, 240)
    wanted["c01"][1] = gone
    with Prefetcher(ClipCache(tmp_path, store, MANY), wanted, 0, 10**12) as prefetcher:
        first, second, third = prefetcher.clips("c01")
        assert [c.error for c in prefetcher.clips("c02")] == [None] * 3
    assert (first.error, third.error) == (None, None)
    assert second.path is None
    assert "c01/gone.mp4" in str(second.error)
    assert "\n" not in str(second.error)


def test_an_outage_is_waited_out(open_bucket: OpenBucket, proxy: FaultyProxy, tmp_path: Path):
    """The store hangs up for a while and comes back: the clip is late, not lost."""
    wanted = {"c01": sub_videos(open_bucket(), "c01", 1)}
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    proxy.refused = "sub_video"
    with Prefetcher(ClipCache(tmp_path, store, MANY), wanted, 0, 10**12) as prefetcher:
        wait_until(lambda: len(proxy.requests) >= 2)
        proxy.refused = ""
        (clip,) = prefetcher.clips("c01")
    assert clip.error is None


def test_an_outage_that_lasts_is_given_up(
    open_bucket: OpenBucket, proxy: FaultyProxy, tmp_path: Path
):
    """Each clip comes with the reason; after the first none waits again."""
    wanted = {"c01": sub_videos(open_bucket(), "c01", 6)}
    store = open_bucket(endpoint_url=proxy.url, attempts=1)
    proxy.refused = "sub_video"
    cache = ClipCache(tmp_path, store, MANY)
    with Prefetcher(cache, wanted, 0, 10**12, give_up_after_s=0.6) as prefetcher:
        clips = list(prefetcher.clips("c01"))
    assert [clip.path for clip in clips] == [None] * 6
    assert all(proxy.url in str(clip.error) for clip in clips)
    tries = [sum(f"0{n}.mp4" in head for head in proxy.requests) for n in range(6)]
    assert tries[0] >= 2
    assert tries[1:] == [1] * 5


def test_closing_ends_a_waiting_camera(open_bucket: OpenBucket, proxy: FaultyProxy, tmp_path: Path):
    """A consumer that waits for a clip that never comes is let go, and nothing stays held."""
    wanted = {camera: sub_videos(open_bucket(), camera, 2) for camera in ("c01", "c02")}
    proxy.refused = "c01/sub_video"
    cache = ClipCache(tmp_path, open_bucket(endpoint_url=proxy.url, attempts=1), 1)
    prefetcher = Prefetcher(cache, wanted, 0, 10**12)
    seen: list[object] = []
    waiting = threading.Thread(target=lambda: seen.extend(prefetcher.clips("c01")))
    waiting.start()
    held = [clip.path for clip in itertools.islice(prefetcher.clips("c02"), 2)]
    prefetcher.close()
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert seen == []
    open_bucket().put("other.mp4", content(9))
    cache.fetch("other.mp4")
    assert not any(path.exists() for path in held if path)
