"""Whether an adapted graph keeps the contract and still says what its source said.

Everything is run in ONNX Runtime on pictures made up here: no model goes into the repository
that has not answered.
"""

import numpy as np
import onnx
import onnxruntime

from plugins.errors import InvalidModelError
from plugins.inference.detection_graph import IOU_THRESHOLD, MAX_BOXES
from plugins.inference.layouts.base import Floats, Picture, SizeHW

BATCH = 4
COMPARED_BOXES = 10
SCORE_TOLERANCE = 0.01
SAME_BOX_IOU = 0.95
SAME_VECTOR_COSINE = 0.999
DETECTOR_OUTPUTS = {
    "boxes": ("tensor(float)", (MAX_BOXES, 4)),
    "scores": ("tensor(float)", (MAX_BOXES,)),
    "labels": ("tensor(int32)", (MAX_BOXES,)),
}
Outputs = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]


def sample_pictures(size_hw: SizeHW, count: int = BATCH) -> Picture:
    """Different, repeatable uint8 [count, 3, H, W] pictures of blocks, slopes and noise."""
    generator = np.random.default_rng(7)
    coarse = generator.integers(0, 256, (count, 3, size_hw[0] // 16 + 1, size_hw[1] // 16 + 1))
    blocks = coarse.repeat(16, axis=2).repeat(16, axis=3)[:, :, : size_hw[0], : size_hw[1]]
    noise = generator.integers(-20, 21, (count, 3, *size_hw))
    slope = np.linspace(-30, 30, size_hw[1]).astype(np.int64)
    return (blocks + noise + slope).clip(0, 255).astype(np.uint8)


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session of the graph; InvalidModelError if ONNX Runtime refuses it."""
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors share no public base class
        raise InvalidModelError(
            f"ONNX Runtime cannot load the model: {first_line(error)}; export it again, and check "
            "that the layout is the right one"
        ) from error


def run(session: onnxruntime.InferenceSession, name: str, pictures: Picture) -> Outputs:
    """All outputs by name; InvalidModelError if inference fails."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {name: pictures}), strict=True))
    except Exception as error:
        raise InvalidModelError(
            f"inference fails on a batch of {len(pictures)}: {first_line(error)}; the file does "
            "not match its layout, or does not take batches"
        ) from error


def first_line(error: Exception) -> str:
    """The message's first line, cut to a readable length."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def check_input(session: onnxruntime.InferenceSession, name: str) -> SizeHW:
    """(height, width) of the only input, uint8 [N, 3, H, W] called ``name``; else an error."""
    inputs = session.get_inputs()
    found = [(value.name, value.type, value.shape) for value in inputs]
    shape = inputs[0].shape if len(inputs) == 1 else []
    is_right = (
        len(shape) == 4
        and (inputs[0].name, inputs[0].type) == (name, "tensor(uint8)")
        and isinstance(shape[0], str | None)
        and shape[1] == 3
        and all(isinstance(side, int) and side > 0 for side in shape[2:])
    )
    if is_right:
        return shape[2], shape[3]
    raise InvalidModelError(
        f"the model's input is {found}, the contract wants '{name}' uint8 [N, 3, H, W] with open "
        "N and fixed H, W: bring it in with 'spoton models import' and its layout"
    )


def check_detector(session: onnxruntime.InferenceSession) -> None:
    """InvalidModelError unless the session keeps the detector's contract, alone and in batches."""
    pictures = sample_pictures(check_input(session, "images"))
    types = {output.name: output.type for output in session.get_outputs()}
    wanted_types = {name: kind for name, (kind, _) in DETECTOR_OUTPUTS.items()}
    if types != wanted_types:
        raise InvalidModelError(f"the outputs are {types}, the contract wants {wanted_types}")
    together = run(session, "images", pictures)
    for name, (_, shape) in DETECTOR_OUTPUTS.items():
        if together[name].shape != (BATCH, *shape):
            raise InvalidModelError(
                f"'{name}' has shape {together[name].shape}, the contract wants (N, *{shape})"
            )
    if together["labels"].any() or (np.diff(together["scores"], axis=1) > 0).any():
        raise InvalidModelError("labels must be 0 and scores descending")
    for row in range(BATCH):
        alone = run(session, "images", pictures[row : row + 1])
        compare_boxes(
            (alone["boxes"][0], alone["scores"][0]),
            (together["boxes"][row], together["scores"][row]),
            "alone and in a batch",
        )


def check_embedder(session: onnxruntime.InferenceSession) -> Floats:
    """Embeddings (N, D) of the sample pictures. InvalidModelError unless the session keeps the
    embedder's contract, alone and in batches.
    """
    pictures = sample_pictures(check_input(session, "crops"))
    types = {output.name: output.type for output in session.get_outputs()}
    if types != {"embeddings": "tensor(float)"}:
        raise InvalidModelError(f"the outputs are {types}, the contract wants float 'embeddings'")
    together = run(session, "crops", pictures)["embeddings"]
    lengths = np.linalg.norm(together, axis=-1)
    if together.ndim != 2 or len(together) != BATCH or not np.allclose(lengths, 1, atol=1e-3):
        raise InvalidModelError(
            f"embeddings have shape {together.shape} and lengths {lengths}: the contract wants "
            "(N, D) of length 1"
        )
    if np.allclose(together, together[0], atol=1e-5):
        raise InvalidModelError("the model gives the same embedding for different pictures")
    for row in range(BATCH):
        alone = run(session, "crops", pictures[row : row + 1])["embeddings"][0]
        compare_vectors(alone, together[row], "alone and in a batch")
    return np.asarray(together, np.float32)


def compare_boxes(
    expected: tuple[Floats, Floats], found: tuple[Floats, Floats], where: str
) -> None:
    """InvalidModelError unless the best expected boxes are found with the same scores."""
    boxes, scores = expected
    for box, score in zip(boxes[:COMPARED_BOXES], scores[:COMPARED_BOXES], strict=True):
        if score <= 0:
            return
        same = (iou_to(box, found[0]) > SAME_BOX_IOU) & (np.abs(found[1] - score) < SCORE_TOLERANCE)
        if not same.any():
            raise InvalidModelError(
                f"the answers differ {where}: box {np.round(box, 1).tolist()} with score "
                f"{score:.3f} is missing; the layout is probably the wrong one for this file"
            )


def compare_vectors(expected: Floats, found: Floats, where: str) -> None:
    """InvalidModelError unless both vectors of length 1 point the same way."""
    cosine = float(expected @ found) if expected.shape == found.shape else 0.0
    if cosine < SAME_VECTOR_COSINE:
        raise InvalidModelError(
            f"the embeddings differ {where}: cosine {cosine:.4f}; the layout is probably the wrong "
            "one for this file, or the model mixes the pictures of a batch"
        )


def suppress(boxes: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Greedy non-maximum suppression in numpy, best first, as many boxes as are compared."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and len(kept) < COMPARED_BOXES:
        kept.append(int(order[0]))
        order = order[1:][iou_to(boxes[order[0]], boxes[order[1:]]) <= IOU_THRESHOLD]
    return boxes[kept], scores[kept]


def iou_to(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one xyxy box with each of (K, 4)."""
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, 2:], box[2:])
    overlap = (high - low).clip(0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - overlap
    return np.asarray(overlap / np.maximum(areas, 1e-6), np.float32)
