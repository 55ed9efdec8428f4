"""DeepStream's metadata to arrays and back, against a double with the real module's surprises."""

import ast

import numpy as np
import pytest

from plugins.deepstream.metadata import EMBED_CLASS, PASS_CLASS, Metadata
from plugins.deepstream.probes import BatchProbes, in_frame
from plugins.deepstream.throttle import UNTRACKED
from plugins.frames import NS_PER_S, Detections
from tests.deepstream.pyds_double import NAMES, Node, Pyds, chain, members
from tests.triton_fixtures import PROJECT

BUFFER = object()
INPUT_HW = (320, 320)


@pytest.fixture
def pyds():
    return Pyds()


@pytest.fixture
def probes(pyds):
    """Probes of two cameras, with lists of what they take and what they fail with."""
    taken, failed = [], []
    made = BatchProbes(
        Metadata(pyds),
        ("c01", "c02"),
        INPUT_HW,
        0.3,
        take=lambda *seen: taken.append(seen),
        fail=failed.append,
    )
    made.taken, made.failed = taken, failed
    return made


def detector_tensors(pyds, *boxes_and_scores, unique_id=1):
    """100 rows, zero-padded, as the model contract has it."""
    boxes, scores = np.zeros((100, 4), np.float32), np.zeros(100, np.float32)
    for k, (box, score) in enumerate(boxes_and_scores):
        boxes[k], scores[k] = box, score
    return pyds.tensors(unique_id, boxes=boxes, scores=scores, labels=np.zeros(100, np.int32))


def vector(*values) -> np.ndarray:
    return np.array(values, np.float32)


def test_detector_tensors_become_objects_in_pixels_of_the_frame(pyds, probes):
    """1920 x 1080 in 320 x 320 is a scale of one sixth, and the rest of the input is padding."""
    users = [pyds.other_user_meta(), detector_tensors(pyds, ((10, 20, 30, 80), 0.9))]
    frame = pyds.frame(users=users)
    pyds.batch(BUFFER, frame)

    probes.after_detector(BUFFER)

    assert probes.failed == []
    (person,) = members(frame.obj_meta_list)
    rectangle = person.rect_params
    assert (rectangle.left, rectangle.top) == (60, 120)
    assert (rectangle.width, rectangle.height) == (120, 360)
    assert person.detector_bbox_info.org_bbox_coords.height == 360
    assert (person.unique_component_id, person.class_id) == (1, EMBED_CLASS)
    assert frame.bInferDone


def test_tensors_of_another_model_and_other_user_data_are_passed_over(pyds, probes):
    users = [detector_tensors(pyds, ((0, 0, 50, 90), 0.9), unique_id=2), pyds.other_user_meta()]
    pyds.batch(BUFFER, pyds.frame(users=users))

    probes.after_detector(BUFFER)

    (message,) = probes.failed
    assert "output_tensor_meta" in message


def test_object_tensors_are_read_from_the_object_and_not_from_the_frame(pyds):
    """What hangs on the wrong list is no embedding."""
    person = pyds.person((0, 0, 60, 200), 0.8)
    person.obj_user_meta_list = chain([pyds.tensors(2, embeddings=vector(0.6, 0.8))])
    stranger = pyds.person((300, 0, 360, 200), 0.7)
    frame = pyds.frame(
        people=[person, stranger], users=[pyds.tensors(2, embeddings=vector(1.0, 0.0))]
    )

    people = Metadata(pyds).people(frame)

    np.testing.assert_array_equal(people.vectors[0], vector(0.6, 0.8))
    assert np.isnan(people.vectors[1]).all()


def test_arrays_outlive_the_batch(pyds):
    """DeepStream's memory is used again once the buffer has passed."""
    person = pyds.person((0, 0, 60, 200), 0.8)
    person.obj_user_meta_list = chain([pyds.tensors(2, embeddings=vector(0.6, 0.8))])
    people = Metadata(pyds).people(pyds.frame(people=[person]))
    pyds.release()
    np.testing.assert_array_equal(people.vectors[0], vector(0.6, 0.8))


def test_half_precision_vectors_are_widened(pyds):
    person = pyds.person((0, 0, 60, 200), 0.8)
    half = np.array([0.5, 0.25], np.float16)
    person.obj_user_meta_list = chain([pyds.tensors(2, embeddings=half)])
    vectors = Metadata(pyds).people(pyds.frame(people=[person])).vectors
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[0.5, 0.25]])


def test_tensor_on_the_device_is_named_instead_of_read(pyds, probes):
    """A null host pointer would end the process."""
    empty = np.empty(0, np.float32)
    pyds.batch(BUFFER, pyds.frame(users=[pyds.tensors(1, boxes=empty, scores=empty)]))
    probes.after_detector(BUFFER)
    assert "MEMORY_TYPE_CPU" in probes.failed[0]


def test_list_that_ends_by_stop_iteration_ends_the_reading(pyds):
    """As it does in pyds, where that must not leave a generator."""
    frame = pyds.frame(people=[])
    frame.obj_meta_list = Node(pyds.person((0, 0, 9, 9), 0.5), Node(None, None))
    assert len(Metadata(pyds).people(frame).scores) == 1


def test_tracker_s_boxes_keep_its_confidence_and_ids(pyds):
    """A box that NvDCF filled in has no confidence of the detector's; nobody has an id before."""
    filled_in = pyds.person((0, 0, 60, 200), -0.1, tracker_score=0.6, object_id=12)
    found = pyds.person((1900, 0, 1990, 200), 0.9)
    people = Metadata(pyds).people(pyds.frame(people=[filled_in, found]))
    np.testing.assert_allclose(people.scores, [0.6, 0.9])
    assert people.object_ids.tolist() == [12, UNTRACKED]
    assert people.boxes_xyxy[1, 2] == 1920
    detections, _ = people.detections()
    assert detections.scores.tolist() == pytest.approx([0.9, 0.6])


def test_only_whom_the_throttle_chose_is_left_to_the_embedder(pyds, probes):
    """Somebody tall and alone is; who was embedded in the last moment is not, nor is a crowd."""
    alone = pyds.person((100, 100, 200, 400), 0.9)
    crowd = [pyds.person((600, 100, 700, 400), 0.9), pyds.person((630, 110, 720, 400), 0.9)]
    pyds.batch(BUFFER, pyds.frame(people=[alone, *crowd]))

    probes.before_embedder(BUFFER)
    assert [p.class_id for p in (alone, *crowd)] == [EMBED_CLASS, PASS_CLASS, PASS_CLASS]

    again = pyds.person((104, 100, 204, 400), 0.9)
    pyds.batch(BUFFER, pyds.frame(people=[again], pts_ns=NS_PER_S // 10))
    probes.before_embedder(BUFFER)
    assert again.class_id == PASS_CLASS


def test_each_picture_goes_to_its_camera_by_pad_and_time(pyds, probes):
    """Batches are made round-robin: neither order nor number in the batch says which camera."""
    frames = [pyds.frame(pad_index=1, pts_ns=70), pyds.frame(pad_index=0, pts_ns=60)]
    pyds.batch(BUFFER, *frames)
    probes.after_embedder(BUFFER)
    assert [(camera, pts) for camera, pts, _ in probes.taken] == [("c02", 70), ("c01", 60)]


def test_no_surface_stays_mapped(pyds, probes):
    """Pictures come by an appsink, so none is mapped at all."""
    users = [detector_tensors(pyds, ((10, 20, 30, 80), 0.9))]
    pyds.batch(BUFFER, pyds.frame(users=users))
    for probe in probes.by_pad().values():
        probe(BUFFER)
    assert pyds.mapped == 0
    assert probes.failed == []


def test_buffer_without_metadata_and_failed_pipeline_pass_through(pyds, probes):
    """One failure is told once; what still comes is let through untouched."""
    probes.after_detector(object())
    assert probes.failed == []
    pyds.batch(BUFFER, pyds.frame())
    probes.after_detector(BUFFER)
    probes.after_detector(BUFFER)
    probes.after_embedder(BUFFER)
    assert len(probes.failed) == 1
    assert probes.taken == []


def test_weak_and_padded_boxes_are_left_out():
    """Rows of zeros, boxes under the threshold and boxes wholly in the padding are nobody."""
    boxes = np.array([[0, 0, 30, 60], [0, 0, 30, 60], [10, 200, 30, 260], [0, 0, 0, 0]], np.float32)
    scores = np.array([0.9, 0.2, 0.8, 0.0], np.float32)
    found = in_frame(boxes, scores, INPUT_HW, (1280, 720), 0.3)
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 120, 240]])
    assert isinstance(found, Detections)


def test_every_name_of_pyds_that_is_used_exists():
    """Attributes of ``pyds`` and ``self._pyds`` in the folder, against the binding's own names."""
    known = {*NAMES["classes"], *NAMES["functions"]}
    used = set()
    for path in (PROJECT / "plugins" / "deepstream").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and _is_pyds(node.value):
                used.add(node.attr)
    assert used
    assert used <= known


def test_a_name_the_binding_lacks_would_be_noticed(pyds):
    with pytest.raises(AttributeError):
        _ = pyds.nvds_get_batch
    with pytest.raises(AttributeError):
        pyds.frame().frame_number = 3


def _is_pyds(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "pyds"
    return isinstance(node, ast.Attribute) and node.attr == "_pyds"
