"""The empty room in one camera's picture: drawn once, with soft shadows, then copied each frame."""

from dataclasses import dataclass, replace
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from training.camera_view import NEAR_M, Grade, View
from training.gl import CORNERS, Drawable, program, put, put_matrix
from training.room import Room

Array = npt.NDArray[np.float64]

SAMPLES = 4
_SHADOW_PX = 1024
_LIGHT_SPREAD = 6.0
_MEAN_LIGHT = 0.31


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """``frame`` has colour and depth of the empty room, ``SAMPLES`` of each a pixel. ``grade`` is
    the camera's with its exposure set for this room, as cameras do by themselves.
    """

    frame: Any
    grade: Grade


def picture_frame(context: Any, width: int, height: int, samples: int = SAMPLES) -> Any:
    """A framebuffer of 8-bit colour and depth, whose depth can be read as a texture."""
    return context.framebuffer(
        [context.texture((width, height), 4, samples=samples)],
        context.depth_texture((width, height), samples=samples),
    )


class PlateMaker:
    """Draws plates of one room.

    Each of ``passes`` renders uses one point of one lamp (or, for light that comes from
    everywhere, of the ceiling) and a slightly shifted pixel grid; their mean has soft shadows
    and smooth edges.
    """

    def __init__(self, context: Any, room: Room, mesh: Drawable, passes: int = 28) -> None:
        self._context, self._room, self._mesh, self._passes = context, room, mesh, passes
        self._room_shader = program(context, "room", "room")
        self._depth_shader = program(context, "room", "depth")
        self._plate_shader = program(context, "screen", "plate")
        screen = context.buffer(CORNERS.tobytes())
        self._screen = context.vertex_array(self._plate_shader, [(screen, "2f", "corner")])
        self._shadow = context.depth_texture((_SHADOW_PX, _SHADOW_PX))
        self._shadow.compare_func = "<="
        self._shadow_frame = context.framebuffer(depth_attachment=self._shadow)

    def make(self, view: View, grade: Grade) -> Plate:
        """The camera's empty picture."""
        light = self._context.texture((view.width, view.height), 4, dtype="f4")
        gathered = self._gathered_light(view)
        light.write(gathered.tobytes())
        grade = _metered(grade, gathered)
        frame = picture_frame(self._context, view.width, view.height)
        frame.use()
        frame.clear(depth=1.0)
        self._draw_depth(view.clip_matrix())
        # Without a depth test nothing is written to the depth that is there now.
        self._context.disable(moderngl.DEPTH_TEST)
        light.use(0)
        put_grade(self._plate_shader, view, grade)
        self._screen.render(moderngl.TRIANGLE_STRIP)
        light.release()
        return Plate(frame, grade)

    def _draw_depth(self, clip: npt.NDArray[np.float32]) -> None:
        self._context.enable(moderngl.DEPTH_TEST)
        put_matrix(self._depth_shader, "clip", clip)
        self._mesh.draw(self._depth_shader)

    def _gathered_light(self, view: View) -> npt.NDArray[np.float32]:
        target = self._context.framebuffer(
            [self._context.texture((view.width, view.height), 4, dtype="f4")],
            self._context.depth_renderbuffer((view.width, view.height)),
        )
        random = np.random.default_rng(20)
        total = np.zeros((view.height, view.width, 4), np.float32)
        for number in range(self._passes):
            self._draw_light(
                target, view, self._light(number, random), random.uniform(-0.5, 0.5, 2)
            )
            total += np.frombuffer(target.read(components=4, dtype="f4"), np.float32).reshape(
                total.shape
            )
        for part in (*target.color_attachments, target.depth_attachment, target):
            part.release()
        return np.asarray(total / self._passes, dtype=np.float32)

    def _light(self, number: int, random: np.random.Generator) -> Array:
        lamps = np.array(self._room.lights_m)
        x0, y0, x1, y1 = self._room.bounds_m
        if number % 4 == 3:
            return np.array([random.uniform(x0, x1), random.uniform(y0, y1), lamps[0, 2]])
        spread = random.uniform(-1, 1, 2) * (0.6, 0.3)
        lamp = lamps[(number - number // 4) % len(lamps)]
        return np.array([lamp[0] + spread[0], lamp[1] + spread[1], lamp[2]])

    def _draw_light(self, target: Any, view: View, light: Array, jitter: Array) -> None:
        light_clip = downward_clip(light)
        clip = view.clip_matrix((jitter[0], jitter[1]))
        self._shadow_frame.use()
        self._shadow_frame.clear(depth=1.0)
        self._draw_depth(light_clip)
        target.use()
        target.clear(0.25, 0.25, 0.25, 1.0, depth=1.0)
        self._draw_depth(clip)  # so that only what is seen is shaded
        self._shadow.use(0)
        put(self._room_shader, light=tuple(light), eye=tuple(eye_of(view)))
        put_matrix(self._room_shader, "clip", clip)
        put_matrix(self._room_shader, "light_clip", light_clip)
        self._context.depth_func = "<="
        self._mesh.draw(self._room_shader)
        self._context.depth_func = "<"


def _metered(grade: Grade, light: npt.NDArray[np.float32]) -> Grade:
    mean = float(np.minimum(light[..., :3], 1.0).mean())
    return replace(grade, exposure=grade.exposure * float(np.clip(_MEAN_LIGHT / mean, 0.5, 3.0)))


def put_grade(shader: Any, view: View, grade: Grade) -> None:
    """Tells a shader the camera's character."""
    put(
        shader,
        exposure=grade.exposure,
        gain=grade.gain_rgb,
        vignette=grade.vignette,
        size=(float(view.width), float(view.height)),
    )


def eye_of(view: View) -> Array:
    """Where the camera is, metres."""
    return np.asarray(-np.linalg.solve(view.projection[:, :3], view.projection[:, 3]))


def downward_clip(light: Array) -> npt.NDArray[np.float32]:
    """(4, 4): a camera in ``light`` that looks straight down through a very wide lens."""
    x, y, z = light
    near, far, spread = NEAR_M / 2, 8.0, _LIGHT_SPREAD
    depth = np.array([0.0, 0.0, -1.0, z])
    span = far - near
    return np.stack(
        [
            np.array([1 / spread, 0, 0, -x / spread]),
            np.array([0, 1 / spread, 0, -y / spread]),
            depth * ((far + near) / span) - np.array([0, 0, 0, 2 * far * near / span]),
            depth,
        ]
    ).astype(np.float32)
