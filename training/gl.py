"""The OpenGL context: without a screen, on Mesa's software renderer where there is no GPU."""

import os
import re
from pathlib import Path
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from plugins.errors import UnavailableError
from training.meshes import Mesh

_SHADERS = Path(__file__).parent / "shaders"
_ATTRIBUTES = {
    "position": (3, 0),
    "normal": (3, 12),
    "uv": (2, 24),
    "colour": (3, 32),
    "second": (3, 44),
    "material": (1, 56),
    "bone": (1, 60),
}
_STRIDE = 64
CORNERS = np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32)


def open_context(threads: int = 1) -> Any:
    """A context of its own for this process, drawing with ``threads`` threads without a GPU.

    Raises UnavailableError where the system has no OpenGL 3.3 through EGL.
    """
    os.environ.setdefault("LP_NUM_THREADS", str(threads))
    os.environ.setdefault("EGL_PLATFORM", "surfaceless")
    try:
        options: dict[str, Any] = {"standalone": True, "backend": "egl", "require": 330}
        return moderngl.create_context(**options)
    except Exception as error:  # moderngl raises bare Exception
        raise UnavailableError(
            f"no OpenGL 3.3 without a screen ({error}): install libegl1 and libgl1-mesa-dri"
        ) from error


def program(context: Any, vertex: str, fragment: str) -> Any:
    """Compiles ``shaders/{vertex}.vert`` and ``shaders/{fragment}.frag``."""
    return context.program(
        vertex_shader=_source(f"{vertex}.vert"), fragment_shader=_source(f"{fragment}.frag")
    )


def put(shader: Any, **values: object) -> None:
    """Sets uniforms; those that a shader does not use are gone from it and skipped."""
    for name, value in values.items():
        if name in shader:
            shader[name].value = value


def put_matrix(shader: Any, name: str, matrix: npt.NDArray[np.float32]) -> None:
    """Sets a (4, 4) matrix of row vectors' convention by columns."""
    shader[name].write(np.ascontiguousarray(matrix.T, np.float32).tobytes())


class Drawable:
    """A mesh in the GPU's memory, drawn by any shader that takes some of its attributes."""

    def __init__(self, context: Any, mesh: Mesh) -> None:
        self._context = context
        self._vertices = context.buffer(mesh.vertices.tobytes())
        self._triangles = context.buffer(mesh.triangles.astype(np.int32).tobytes())
        self._arrays: dict[Any, Any] = {}

    def draw(self, shader: Any, instances: int = 1) -> None:
        """Draws all of it."""
        array = self._arrays.get(shader)
        if array is None:
            array = self._arrays[shader] = self._bind(shader)
        array.render(moderngl.TRIANGLES, instances=instances)

    def _bind(self, shader: Any) -> Any:
        names = [name for name in _ATTRIBUTES if name in shader]
        layout, end = [], 0
        for name in names:
            count, offset = _ATTRIBUTES[name]
            layout += [f"{offset - end}x"] if offset > end else []
            layout.append(f"{count}f")
            end = offset + 4 * count
        layout += [f"{_STRIDE - end}x"] if end < _STRIDE else []
        content = [(self._vertices, " ".join(layout), *names)]
        return self._context.vertex_array(shader, content, self._triangles)


def _source(name: str) -> str:
    text = (_SHADERS / name).read_text("utf-8")
    return re.sub(r"#include (\w+)", lambda m: (_SHADERS / f"{m[1]}.glsl").read_text("utf-8"), text)
