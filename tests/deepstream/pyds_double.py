"""A double of DeepStream's pyds, faithful where the real one surprises.

- A list is a chain of nodes; ``data`` is an opaque pointer until a ``cast``; the end of a list
  shows as None, or as StopIteration once something has been freed.
- Full-frame tensors hang on the frame's user list, object-mode tensors on each object's.
- A layer's ``buffer`` is a pointer; its memory is overwritten when the batch is released.
- Surfaces that are mapped stay mapped until they are unmapped: ``mapped`` counts them.
- Names that the real module has not got raise AttributeError here too (``pyds_names.json``).
"""

import ctypes
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

NAMES = json.loads((Path(__file__).parent / "pyds_names.json").read_text())
KINDS = {np.dtype(np.float32): "FLOAT", np.dtype(np.float16): "HALF", np.dtype(np.int32): "INT32"}
NO_ID = 2**64 - 1


class Strict:
    """A structure that has the members of one pyds class and no others."""

    def __init__(self, kind: str, **values) -> None:
        object.__setattr__(self, "kind", kind)
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name, value) -> None:
        if name not in NAMES["classes"][self.kind]:
            raise AttributeError(f"pyds.{self.kind} has no {name}")
        object.__setattr__(self, name, value)


class Pointer:
    """What a node holds: worthless until it is cast to the right class."""

    def __init__(self, content) -> None:
        self.content = content


class Node:
    def __init__(self, content, following) -> None:
        self._content, self._next = content, following

    @property
    def data(self) -> Pointer:
        if self._content is None:
            raise StopIteration
        return Pointer(self._content)

    @property
    def next(self):
        return self._next


def chain(items):
    node = None
    for item in reversed(list(items)):
        node = Node(item, node)
    return node


class _Class:
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def cast(self, pointer: Pointer):
        if not isinstance(pointer, Pointer) or pointer.content.kind != self._kind:
            raise TypeError(f"this pointer is no {self._kind}")
        return pointer.content


class Pyds:
    """The module. ``batches`` maps ``hash(buffer)`` to a batch."""

    def __init__(self) -> None:
        self.batches: dict[int, Strict] = {}
        self.mapped = 0
        self._arrays: list[np.ndarray] = []
        self.NvDsMetaType = SimpleNamespace(NVDSINFER_TENSOR_OUTPUT_META=12, NVDS_USER_META=7)
        self.NvDsInferDataType = SimpleNamespace(FLOAT=0, HALF=1, INT8=2, INT32=3)

    def __getattr__(self, name):
        if name not in NAMES["classes"]:
            raise AttributeError(f"module 'pyds' has no attribute {name!r}")
        return _Class(name)

    # What the module under test calls.
    def gst_buffer_get_nvds_batch_meta(self, address: int):
        return self.batches.get(address)

    def nvds_acquire_obj_meta_from_pool(self, batch):
        assert batch.kind == "NvDsBatchMeta"
        return self.person((0, 0, 0, 0), 0.0)

    def nvds_add_obj_meta_to_frame(self, frame, person, parent) -> None:
        assert parent is None
        frame.obj_meta_list = chain([*members(frame.obj_meta_list), person])
        frame.num_obj_meta += 1

    def get_nvds_LayerInfo(self, tensors, number: int):  # noqa: N802  # pyds calls it so
        return tensors.output_layers_info[number]

    def get_ptr(self, buffer) -> int:
        return buffer

    def get_nvds_buf_surface(self, _address: int, _batch_id: int):
        self.mapped += 1
        return np.zeros((4, 4, 4), np.uint8)

    def unmap_nvds_buf_surface(self, _address: int, _batch_id: int) -> None:
        self.mapped -= 1

    # What DeepStream would have made before.
    def tensors(self, unique_id: int, **arrays) -> Strict:
        layers = [self._layer(name, array) for name, array in arrays.items()]
        content = Strict(
            "NvDsInferTensorMeta",
            unique_id=unique_id,
            num_output_layers=len(layers),
            output_layers_info=layers,
        )
        return self._user(self.NvDsMetaType.NVDSINFER_TENSOR_OUTPUT_META, content)

    def other_user_meta(self) -> Strict:
        return self._user(self.NvDsMetaType.NVDS_USER_META, None)

    def person(self, box_xyxy, score: float, tracker_score: float = 0.0, object_id=NO_ID) -> Strict:
        left, top, right, bottom = box_xyxy
        place = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        return Strict(
            "NvDsObjectMeta",
            unique_component_id=0,
            class_id=-1,
            object_id=object_id,
            confidence=score,
            tracker_confidence=tracker_score,
            rect_params=Strict("NvOSD_RectParams", **place),
            detector_bbox_info=Strict(
                "NvDsComp_BboxInfo", org_bbox_coords=Strict("NvBbox_Coords", **place)
            ),
            obj_user_meta_list=None,
        )

    def frame(self, pad_index=0, pts_ns=0, size_wh=(1920, 1080), users=(), people=()) -> Strict:
        return Strict(
            "NvDsFrameMeta",
            pad_index=pad_index,
            batch_id=pad_index,
            buf_pts=pts_ns,
            source_frame_width=size_wh[0],
            source_frame_height=size_wh[1],
            num_obj_meta=len(people),
            bInferDone=False,
            obj_meta_list=chain(people),
            frame_user_meta_list=chain(users),
        )

    def batch(self, buffer, *frames) -> None:
        self.batches[hash(buffer)] = Strict("NvDsBatchMeta", frame_meta_list=chain(frames))

    def release(self) -> None:
        """What happens to tensors once their buffer has passed."""
        for array in self._arrays:
            array.fill(-77)

    def _user(self, kind: int, content) -> Strict:
        base = Strict("NvDsBaseMeta", meta_type=kind)
        return Strict("NvDsUserMeta", base_meta=base, user_meta_data=Pointer(content))

    def _layer(self, name: str, array) -> Strict:
        pointer = 0
        if array.size:
            array = np.ascontiguousarray(array)
            self._arrays.append(array)
            pointer = array.ctypes.data_as(ctypes.c_void_p).value
        return Strict(
            "NvDsInferLayerInfo",
            layerName=name,
            dataType=getattr(self.NvDsInferDataType, KINDS[array.dtype]),
            inferDims=Strict("NvDsInferDims", numDims=array.ndim, d=list(array.shape)),
            buffer=pointer,
        )


def members(node) -> list:
    found = []
    while node is not None:
        found.append(node.data.content)
        node = node.next
    return found
