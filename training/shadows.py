"""The shade that people cast on the floor, as a map of how much of its light each place keeps."""

from typing import Any

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from training.camera_view import View
from training.gl import Drawable, program, put, put_matrix
from training.meshes import Mesh
from training.room import Room

CELL_M = 0.035
_PENUMBRA_CELLS = 5
_CONTACT_CELLS = 7
# What shaders/light.glsl and room.frag give a floor: panels times 4, ambient 0.13 + 0.07.
_PANEL, _AMBIENT = 4.0, 0.20
_MARGIN_M = 0.3
_PATCH_M = 0.5
_TO_DISPLAY = np.round(255 * (np.arange(256) / 255) ** 0.5).astype(np.uint8)


class FloorShade:
    """Renders, for one moment, which ceiling light people take from which piece of floor."""

    def __init__(self, context: Any, room: Room, mesh: Mesh) -> None:
        x0, y0, x1, y1 = room.bounds_m
        self.bounds = (
            x0 - _MARGIN_M,
            y0 - _MARGIN_M,
            x1 - x0 + 2 * _MARGIN_M,
            y1 - y0 + 2 * _MARGIN_M,
        )
        self._context, self._mesh = context, Drawable(context, mesh)
        self._shader = program(context, "cast", "cast")
        self._size = (round(self.bounds[2] / CELL_M), round(self.bounds[3] / CELL_M))
        self._frame = context.framebuffer([context.texture(self._size, 4)])
        self.texture = context.texture(self._size, 1)
        self.texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._shares = self._shares_of_lights(room)
        put(self._shader, lights=list(room.lights_m), bounds=self.bounds)

    def update(self) -> npt.NDArray[np.uint8]:
        """Fills ``texture`` for the bones in texture unit 0; returns it, (rows, columns): 255 is
        full light.
        """
        self._frame.use()
        self._frame.clear()
        self._context.disable(moderngl.DEPTH_TEST)
        self._context.enable(moderngl.BLEND)
        self._context.blend_equation = moderngl.MAX
        self._context.blend_func = moderngl.ONE, moderngl.ONE
        self._mesh.draw(self._shader, instances=4)
        self._context.disable(moderngl.BLEND)
        self._context.blend_equation = moderngl.FUNC_ADD
        width, height = self._size
        hidden = np.frombuffer(self._frame.read(components=4), np.uint8).reshape(height, width, 4)
        shade = self._combined(hidden)
        self.texture.write(shade.tobytes())
        return shade

    def _combined(self, hidden: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        soft = cv2.blur(cv2.blur(hidden, (_PENUMBRA_CELLS, _PENUMBRA_CELLS)), (3, 3))
        lost = cv2.transform(cv2.multiply(soft, self._shares, dtype=cv2.CV_8U), np.ones((1, 4)))
        # Close to the feet even the light from everywhere is missing: where all lights are hidden.
        least = cv2.reduce(hidden.reshape(-1, 4), 1, cv2.REDUCE_MIN).reshape(lost.shape)
        contact = cv2.blur(least, (_CONTACT_CELLS, _CONTACT_CELLS))
        light = 255 - np.minimum(cv2.addWeighted(lost, 0.9, contact, 0.8, 0), 225)
        return np.asarray(cv2.LUT(light, _TO_DISPLAY), dtype=np.uint8)

    def _shares_of_lights(self, room: Room) -> npt.NDArray[np.float32]:
        """(rows, columns, 4): which part of a place's light comes from each lamp."""
        width, height = self._size
        x = self.bounds[0] + (np.arange(width) + 0.5) * CELL_M
        y = self.bounds[1] + (np.arange(height) + 0.5) * CELL_M
        shares = []
        for lx, ly, lz in room.lights_m:
            d2 = (x[None] - lx) ** 2 + (y[:, None] - ly) ** 2 + lz**2
            shares.append(_PANEL / len(room.lights_m) * (lz * lz / d2) * 13.0 / (d2 + 3.0))
        table = np.stack(shares, axis=2)
        return np.asarray(table / (table.sum(2, keepdims=True) + _AMBIENT), dtype=np.float32)


class FloorPatches:
    """Half-metre squares of the floor; only those with shade on them are drawn again."""

    def __init__(self, context: Any, shade: FloorShade) -> None:
        x0, y0, width, height = shade.bounds
        self._context, self._shade = context, shade
        self._shader = program(context, "floor", "floor")
        self._columns, self._rows = int(width / _PATCH_M), int(height / _PATCH_M)
        self._corner_x = np.linspace(x0, x0 + width, self._columns + 1)
        self._corner_y = np.linspace(y0, y0 + height, self._rows + 1)
        self._corners = 0
        self._buffer = context.buffer(reserve=self._columns * self._rows * 6 * 8)
        self._array = context.vertex_array(self._shader, [(self._buffer, "2f", "corner")])
        put(self._shader, bounds=shade.bounds)

    def find_dark(self, shade: npt.NDArray[np.uint8]) -> None:
        """Chooses the squares to draw for what ``FloorShade.update`` gave."""
        small = cv2.erode(shade, np.ones((3, 3), np.uint8))
        tall, wide = shade.shape
        rows = np.arange(self._rows) * tall // self._rows
        columns = np.arange(self._columns) * wide // self._columns
        least = np.minimum.reduceat(np.minimum.reduceat(small, rows, 0), columns, 1)
        i, j = np.nonzero(least < 252)
        x0, x1 = self._corner_x[j], self._corner_x[j + 1]
        y0, y1 = self._corner_y[i], self._corner_y[i + 1]
        corners = np.stack([x0, y0, x1, y0, x1, y1, x0, y0, x1, y1, x0, y1], 1)
        self._buffer.write(corners.astype(np.float32).tobytes())
        self._corners = 6 * len(i)

    def draw(self, view: View) -> None:
        """Darkens the floor where the depth test finds it in front."""
        if not self._corners:
            return
        context = self._context
        self._shade.texture.use(0)
        context.enable(moderngl.BLEND)
        context.blend_func = moderngl.DST_COLOR, moderngl.ZERO
        put_matrix(self._shader, "clip", view.clip_matrix())
        self._array.render(moderngl.TRIANGLES, vertices=self._corners)
        context.disable(moderngl.BLEND)
