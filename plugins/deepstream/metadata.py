"""DeepStream's metadata to arrays and back: the only place that uses the names of pyds.

Everything handed out is a copy: DeepStream frees its memory once a buffer has passed. Surfaces are
never mapped (pictures come by an appsink), so there is none to unmap.
"""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.deepstream.graph import DETECTOR_ID, EMBEDDER_ID
from plugins.deepstream.throttle import UNTRACKED
from plugins.errors import SpotOnError
from plugins.frames import Detections

Floats = npt.NDArray[np.float32]
# The embedder works on objects of class EMBED_CLASS only (``operate_on_class_ids``).
EMBED_CLASS, PASS_CLASS = 0, 1
_NO_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class People:
    """One picture's people: ``boxes_xyxy`` (N, 4) and ``scores`` (N,) float32 in pixels of the full
    frame, ``object_ids`` (N,) int64, UNTRACKED without DeepStream's tracker; ``vectors`` (N, D)
    float32, rows of NaN where no embedding was made (D is 0 where there is none at all).
    """

    boxes_xyxy: Floats
    scores: Floats
    object_ids: npt.NDArray[np.int64]
    vectors: Floats

    def detections(self) -> tuple[Detections, Floats]:
        """The boxes by descending score, and their vectors in the same order."""
        order = np.argsort(-self.scores, kind="stable")
        return Detections(self.boxes_xyxy[order], self.scores[order]), self.vectors[order]


class Metadata:
    """Reads and writes the metadata of batches. ``pyds`` is DeepStream's module, or a double."""

    def __init__(self, pyds: Any) -> None:
        self._pyds = pyds

    def batch(self, buffer: Any) -> Any:
        """The batch metadata of a Gst.Buffer, or None where it has none."""
        return self._pyds.gst_buffer_get_nvds_batch_meta(hash(buffer))

    def frames(self, batch: Any) -> Iterator[Any]:
        """The frames of a batch; each has ``pad_index``, ``buf_pts`` and the source's size."""
        return _listed(batch.frame_meta_list, self._pyds.NvDsFrameMeta.cast)

    def detector_outputs(self, frame: Any) -> dict[str, npt.NDArray[Any]]:
        """The detector's tensors of a frame by name; empty where it made none.

        They hang on the frame's own list: those of the embedder hang on each object's.
        """
        return self._tensors(frame.frame_user_meta_list, DETECTOR_ID)

    def attach(self, batch: Any, frame: Any, detections: Detections) -> None:
        """Adds one object for each box, for the tracker and the embedder to work on."""
        pyds = self._pyds
        for box, score in zip(detections.boxes_xyxy, detections.scores, strict=True):
            person = pyds.nvds_acquire_obj_meta_from_pool(batch)
            person.unique_component_id = DETECTOR_ID
            person.class_id, person.object_id = EMBED_CLASS, _NO_ID
            person.confidence = float(score)
            for rectangle in (person.rect_params, person.detector_bbox_info.org_bbox_coords):
                _write_box(rectangle, box)
            pyds.nvds_add_obj_meta_to_frame(frame, person, None)
        frame.bInferDone = True

    def choose(self, frame: Any, chosen: npt.NDArray[np.bool_]) -> None:
        """Lets the embedder see the chosen objects only, in the order of ``people``."""
        for person, is_chosen in zip(self._objects(frame), chosen, strict=True):
            person.class_id = EMBED_CLASS if is_chosen else PASS_CLASS

    def people(self, frame: Any) -> People:
        """The objects of a frame, clipped to it."""
        objects = list(self._objects(frame))
        boxes = np.array([_read_box(o.rect_params) for o in objects], np.float32).reshape(-1, 4)
        border = np.array([frame.source_frame_width, frame.source_frame_height] * 2, np.float32)
        vectors = [self._vector(o) for o in objects]
        return People(
            np.clip(boxes, 0, border),
            np.array([_score(o) for o in objects], np.float32),
            np.array([_object_id(o) for o in objects], np.int64),
            _stacked(vectors),
        )

    def _objects(self, frame: Any) -> Iterator[Any]:
        return _listed(frame.obj_meta_list, self._pyds.NvDsObjectMeta.cast)

    def _vector(self, person: Any) -> Floats | None:
        tensors = self._tensors(person.obj_user_meta_list, EMBEDDER_ID)
        return np.asarray(tensors["embeddings"], np.float32).ravel() if tensors else None

    def _tensors(self, users: Any, unique_id: int) -> dict[str, npt.NDArray[Any]]:
        pyds = self._pyds
        for user in _listed(users, pyds.NvDsUserMeta.cast):
            if user.base_meta.meta_type != pyds.NvDsMetaType.NVDSINFER_TENSOR_OUTPUT_META:
                continue
            tensors = pyds.NvDsInferTensorMeta.cast(user.user_meta_data)
            if tensors.unique_id == unique_id:
                layers = (
                    pyds.get_nvds_LayerInfo(tensors, k) for k in range(tensors.num_output_layers)
                )
                return {layer.layerName: self._array(layer) for layer in layers}
        return {}

    def _array(self, layer: Any) -> npt.NDArray[Any]:
        pyds = self._pyds
        pointer = pyds.get_ptr(layer.buffer)
        if not pointer:
            raise SpotOnError(
                f"DeepStream's tensor {layer.layerName} is not in host memory: its configuration "
                "needs output_mem_type: MEMORY_TYPE_CPU"
            )
        dtype = {
            pyds.NvDsInferDataType.FLOAT: np.float32,
            pyds.NvDsInferDataType.HALF: np.float16,
            pyds.NvDsInferDataType.INT32: np.int32,
            pyds.NvDsInferDataType.INT8: np.int8,
        }[layer.dataType]
        shape = [layer.inferDims.d[k] for k in range(layer.inferDims.numDims)]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        # The one copy; the memory belongs to DeepStream and goes with the buffer.
        content = ctypes.string_at(pointer, size)
        return np.frombuffer(content, dtype).reshape(shape)


def _listed(node: Any, cast: Callable[[Any], Any]) -> Iterator[Any]:
    """The items of a GList. pyds ends one by StopIteration, which no generator may let out."""
    while node is not None:
        try:
            item, following = cast(node.data), node.next
        except StopIteration:
            return
        yield item
        node = following


def _write_box(rectangle: Any, box_xyxy: Floats) -> None:
    left, top, right, bottom = (float(v) for v in box_xyxy)
    rectangle.left, rectangle.top = left, top
    rectangle.width, rectangle.height = right - left, bottom - top


def _read_box(rectangle: Any) -> tuple[float, float, float, float]:
    left, top = rectangle.left, rectangle.top
    return left, top, left + rectangle.width, top + rectangle.height


def _score(person: Any) -> float:
    """Where the tracker filled a box in, the detector's confidence is negative."""
    found, tracked = float(person.confidence), float(person.tracker_confidence)
    return min(1.0, found if found > 0 else max(0.0, tracked))


def _object_id(person: Any) -> int:
    return UNTRACKED if person.object_id == _NO_ID else int(person.object_id)


def _stacked(vectors: list[Floats | None]) -> Floats:
    length = next((len(v) for v in vectors if v is not None), 0)
    stacked = np.full((len(vectors), length), np.nan, np.float32)
    for row, vector in zip(stacked, vectors, strict=True):
        if vector is not None:
            row[:] = vector
    return stacked
