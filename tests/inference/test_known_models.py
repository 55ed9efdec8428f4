"""The table of open models, and what happens with and without a network."""

import hashlib
import io
import zipfile
from urllib.error import URLError

import pytest

from plugins.errors import InvalidInputError, InvalidModelError, UnavailableError
from plugins.inference import known_models as module
from plugins.inference.known_models import KnownModel, fetch, known_model, known_models
from plugins.inference.layouts import LAYOUTS

CONTENT = b"an ONNX file, as far as this test is concerned"
SHA = hashlib.sha256(CONTENT).hexdigest()


def entry(**fields) -> KnownModel:
    whole = {"licence": "MIT", "input": "", "origin": "https://example.org", "note": ""}
    return KnownModel(model="person_reid", layout="osnet", **(whole | fields))


@pytest.fixture
def table(monkeypatch):
    """Puts one entry called ``it`` in place of the table."""

    def put(**fields):
        monkeypatch.setattr(module, "known_models", lambda: {"it": entry(**fields)})

    return put


@pytest.fixture
def web(monkeypatch):
    """Answers every address with given bytes, or fails."""

    def answer(content):
        def urlopen(_url, timeout):
            if isinstance(content, Exception):
                raise content
            return io.BytesIO(content)

        monkeypatch.setattr(module, "urlopen", urlopen)

    return answer


@pytest.mark.parametrize("name", known_models())
def test_every_entry_can_be_imported_and_says_where_it_comes_from(name):
    """Hub entries name a file and a revision; a hash has its 64 digits; layouts are known."""
    one = known_model(name)
    assert LAYOUTS[one.layout].model == one.model
    assert one.origin.startswith("https://")
    assert one.licence
    assert (one.repo is None) == (one.file is None) == (one.revision is None)
    assert one.sha256 is None or len(bytes.fromhex(one.sha256)) == 32
    assert one.url is None or one.url.startswith("https://")
    assert one.pinned_by != "nothing"


def test_the_bytes_at_hand_are_those_of_the_table(test_data):
    files = {
        "yolox-nano": "yolox_nano_416x416.onnx",
        "rtmdet-nano": "rtmdet_nano.onnx",
        "osnet-x0-25": "osnet_x0_25_msmt17.onnx",
        "retail-0248": "person-reidentification-retail-0248.onnx",
    }
    for name, file in files.items():
        module.require_bytes(name, test_data / "models" / file)


def test_a_file_is_fetched_and_checked(table, web, tmp_path):
    table(url="https://example.org/model.onnx", sha256=SHA)
    web(CONTENT)

    assert fetch("it", tmp_path / "models").read_bytes() == CONTENT


def test_a_member_of_an_archive_is_taken_wherever_it_lies(table, web, tmp_path):
    table(url="https://example.org/model.zip", member="end2end.onnx", sha256=SHA)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("a/b/end2end.onnx", CONTENT)
        files.writestr("a/readme.txt", "no")
    web(archive.getvalue())

    assert fetch("it", tmp_path).read_bytes() == CONTENT


def test_other_bytes_than_expected_are_refused(table, web, tmp_path):
    table(url="https://example.org/model.onnx", sha256=SHA)
    web(b"something else")

    with pytest.raises(InvalidModelError, match="not the it that was checked"):
        fetch("it", tmp_path)


def test_without_a_network_there_is_one_line_with_the_remedy(table, web, tmp_path):
    table(url="https://example.org/model.onnx", sha256=SHA)
    web(URLError("no route"))

    with pytest.raises(UnavailableError, match=r"installed models go on.*--from FILE") as caught:
        fetch("it", tmp_path)

    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_hub_being_away_is_the_same_line(table, monkeypatch, tmp_path):
    table(repo="someone/something", file="model.onnx", revision="main")

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(module.socket, "create_connection", refuse)

    with pytest.raises(UnavailableError, match=r"installed models go on.*--from FILE"):
        fetch("it", tmp_path)


def test_what_has_no_address_says_where_to_get_it(tmp_path):
    with pytest.raises(InvalidInputError, match=r"deep-person-reid.*--from FILE"):
        fetch("osnet-x0-25", tmp_path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidInputError, match="yolox-nano"):
        known_model("resnet")
