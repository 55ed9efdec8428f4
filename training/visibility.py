"""How much of each person a camera's picture shows, counted in rendered pixels."""

from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from training.camera_view import FAR_M, NEAR_M, View
from training.gait import BONES
from training.gl import Drawable, program, put, put_matrix

MAX_PEOPLE = 32
_TILE_W, _TILE_H, _COLUMNS, _ROWS = 48, 96, 8, 4


class VisibilityCounter:
    """Draws each person alone into a tile and compares its depth with the picture's."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._shader = program(context, "visible", "visible")
        size = (_TILE_W * _COLUMNS, _TILE_H * _ROWS)
        colour = context.texture(size, 1)
        self._frame = context.framebuffer([colour], context.depth_renderbuffer(size))
        self._boxes = context.texture((MAX_PEOPLE, 1), 4, dtype="f4")
        self._all_inside = context.texture((1, 1), 1, data=b"\xff")
        self._inside: dict[str, Any] = {}

    def shares(
        self, view: View, people: Drawable, boxes_xyxy: npt.NDArray[np.float64], depth: Any
    ) -> npt.NDArray[np.float64]:
        """(P,) 0..1 for people's extents (P, 4) in canvas pixels, 0 where they are NaN.

        The bones are in texture unit 0, ``depth`` is the finished picture's.
        """
        table = np.zeros((MAX_PEOPLE, 4), np.float32)
        size_px = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        table[: len(size_px)] = np.nan_to_num(np.column_stack([boxes_xyxy[:, :2], size_px]))
        self._boxes.write(table.tobytes())
        self._boxes.use(1)
        depth.use(2)
        self._inside_of(view).use(3)
        put(self._shader, bones=0, boxes=1, picture_depth=2, inside=3, bones_each=BONES)
        put(self._shader, size=(float(view.width), float(view.height)), near_far=(NEAR_M, FAR_M))
        put_matrix(self._shader, "clip", view.clip_matrix())
        self._frame.use()
        self._frame.clear(depth=1.0)
        self._context.enable(moderngl.DEPTH_TEST)
        people.draw(self._shader)
        return self._count()[: len(size_px)]

    def _count(self) -> npt.NDArray[np.float64]:
        drawn = np.frombuffer(self._frame.read(components=1), np.uint8)
        grid = drawn.reshape(_ROWS, _TILE_H, _COLUMNS, _TILE_W).transpose(0, 2, 1, 3)
        tiles = grid.reshape(MAX_PEOPLE, -1)
        return np.asarray((tiles > 200).sum(1) / np.maximum((tiles > 50).sum(1), 1))

    def _inside_of(self, view: View) -> Any:
        if view.inside is None:
            return self._all_inside
        name = view.camera.camera_id
        if name not in self._inside:
            size = (view.width, view.height)
            self._inside[name] = self._context.texture(
                size, 1, data=view.inside.tobytes(), alignment=1
            )
        return self._inside[name]
