"""An embedding model brings the cosines that mean one person and two."""

import msgspec
import pytest

from plugins.errors import InvalidInputError
from plugins.inference.cosines import tracking_parameters
from plugins.inference.model_import import ModelRecord, read_record
from plugins.tracking.parameters import TrackingParameters
from tests.triton_fixtures import PROJECT


def installed(repository, version, **cosines):
    """A version of person_reid with a record, and the label of its vectors."""
    record = ModelRecord(
        model="person_reid",
        layout="osnet",
        source_name="o.onnx",
        source_sha256="0",
        sha256="0123456789abcdef",
        size=(256, 128),
        labels=[],
        score_floor=0.0,
        iou_threshold=0.0,
        imported_at="2026-01-01T00:00:00+00:00",
        **cosines,
    )
    folder = repository / "person_reid" / str(version)
    folder.mkdir(parents=True)
    (folder / "model.json").write_bytes(msgspec.json.encode(record))
    return f"person_reid/{version}/0123456789ab"


def test_the_version_that_made_the_vectors_counts(tmp_path):
    """Of two versions each has its own cosines; one without them gets the tracker's."""
    first = installed(tmp_path, 1, same_cosine=0.6, different_cosine=0.3)
    second = installed(tmp_path, 2)
    parameters = tracking_parameters(tmp_path, first)
    assert (parameters.same_cosine, parameters.different_cosine) == (0.6, 0.3)
    assert tracking_parameters(tmp_path, second) == TrackingParameters()


@pytest.mark.parametrize("label", ["", "person_reid", "person_reid/7", "person_reid/7/abc"])
def test_a_model_without_a_record_gets_the_trackers_own(tmp_path, label):
    """A repository that is elsewhere, too."""
    assert tracking_parameters(tmp_path, label) == TrackingParameters()
    assert tracking_parameters(None, label) == TrackingParameters()


def test_contradicting_cosines_are_told_with_their_file(tmp_path):
    """Different above same."""
    label = installed(tmp_path, 3, same_cosine=0.3, different_cosine=0.6)
    with pytest.raises(InvalidInputError, match=r"3/model\.json.*different_cosine < same_cosine"):
        tracking_parameters(tmp_path, label)


def test_older_records_are_read(tmp_path):
    """Those written before there were cosines."""
    label = installed(tmp_path, 4)
    path = tmp_path / "person_reid" / "4" / "model.json"
    old = msgspec.json.decode(path.read_bytes())
    del old["same_cosine"], old["different_cosine"]
    path.write_bytes(msgspec.json.encode(old))
    assert tracking_parameters(tmp_path, label) == TrackingParameters()


def test_the_bundled_embedder_says_what_its_cosines_mean():
    record = read_record(PROJECT / "model_repository" / "person_reid" / "1")
    parameters = tracking_parameters(PROJECT / "model_repository", "person_reid/1/x")

    assert record is not None
    assert None not in {record.same_cosine, record.different_cosine}
    assert parameters.same_cosine == record.same_cosine
    assert parameters.different_cosine == record.different_cosine
