"""Pictures of the scene: the empty room's plate, people's shade on the floor, people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from training.camera_view import Grade, View
from training.development import developed
from training.figure import figure_mesh, shadow_mesh
from training.gait import BONES
from training.gl import Drawable, open_context, program, put, put_matrix
from training.meshes import Mesh, joined
from training.people import Person
from training.plate import Plate, PlateMaker, eye_of, picture_frame, put_grade
from training.room import Room
from training.scenery import room_mesh
from training.shadows import FloorPatches, FloorShade
from training.visibility import VisibilityCounter


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """One camera's picture: ``i420`` (height * 3 // 2, width) uint8, and what can be seen of each
    person: ``visibility`` (P,) 0..1, ``boxes_xyxy`` (P, 4) around the whole person as if nothing
    hid it, in the picture's pixels (0 is the left edge of the first) and also beyond its border;
    NaN where no part is in front.
    """

    i420: npt.NDArray[np.uint8]
    boxes_xyxy: npt.NDArray[np.float64]
    visibility: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Camera:
    view: View
    plate: Plate
    frame: Any
    resolved: Any


class Renderer:
    """Draws one room and its people for several cameras; everything is on this process's GPU.

    ``scenery`` takes the place of the room's own walls and furniture, ``passes`` is how many
    points of the lamps its light comes from.
    """

    def __init__(
        self,
        room: Room,
        people: Sequence[Person],
        views: Sequence[tuple[View, Grade]],
        *,
        scenery: Mesh | None = None,
        passes: int = 28,
    ) -> None:
        self._context = open_context()
        self._people = people
        figures = [figure_mesh(person) for person in people]
        self._mesh = joined(mesh.with_bone(k * BONES) for k, mesh in enumerate(figures))
        self._owner = self._mesh.bones // BONES
        self._drawable = Drawable(self._context, self._mesh)
        self._bones = self._context.texture((3, BONES * len(people)), 4, dtype="f4")
        casts = (shadow_mesh(p).with_bone(k * BONES) for k, p in enumerate(people))
        self._shade = FloorShade(self._context, room, joined(casts))
        self._floor = FloorPatches(self._context, self._shade)
        self._shader = program(self._context, "people", "people")
        self._visibility = VisibilityCounter(self._context)
        still = Drawable(self._context, scenery or room_mesh(room))
        maker = PlateMaker(self._context, room, still, passes)
        put(self._shader, lights=list(room.lights_m), bones=0)
        self._cameras = [self._prepare(maker, view, grade) for view, grade in views]

    def render(self, bones: npt.NDArray[np.float64], frame: int) -> list[Rendered]:
        """The cameras' pictures of one moment; ``bones`` (P, 13, 3, 4), NaN where a person is away.
        ``frame`` only chooses the noise.
        """
        is_there = np.isfinite(bones[:, 0, 0, 3])
        table = np.where(is_there[:, None, None, None], bones, 0.0).astype(np.float32)
        self._bones.write(table.tobytes())
        self._bones.use(0)
        self._floor.find_dark(self._shade.update())
        points = self._skin_points(table)
        points[~is_there[self._owner]] = np.nan
        return [self._picture(camera, points, frame) for camera in self._cameras]

    def release(self) -> None:
        """Gives the context and all that it holds back; nothing can be drawn any more."""
        self._context.release()

    def _prepare(self, maker: PlateMaker, view: View, grade: Grade) -> _Camera:
        frame = picture_frame(self._context, view.width, view.height)
        resolved = self._context.framebuffer([self._context.texture((view.width, view.height), 4)])
        return _Camera(view, maker.make(view, grade), frame, resolved)

    def _picture(self, camera: _Camera, points: npt.NDArray[np.float64], frame: int) -> Rendered:
        view, count = camera.view, len(self._people)
        self._draw(camera)
        content = np.frombuffer(camera.resolved.read(components=4), np.uint8)
        rgba = content.reshape(view.height, view.width, 4)
        canvas = _extents(view.to_canvas(points), self._owner, count)
        depth = camera.frame.depth_attachment
        return Rendered(
            i420=developed(rgba, view, camera.plate.grade, frame),
            boxes_xyxy=_extents(view.to_picture(points) + 0.5, self._owner, count),
            visibility=self._visibility.shares(view, self._drawable, canvas, depth),
        )

    def _draw(self, camera: _Camera) -> None:
        self._context.copy_framebuffer(camera.frame, camera.plate.frame)
        camera.frame.use()
        self._context.enable(moderngl.DEPTH_TEST)
        self._floor.draw(camera.view)
        self._bones.use(0)
        put(self._shader, eye=tuple(eye_of(camera.view)))
        put_grade(self._shader, camera.view, camera.plate.grade)
        put_matrix(self._shader, "clip", camera.view.clip_matrix())
        self._context.front_face = "ccw" if camera.view.is_mirrored() else "cw"
        self._context.enable(moderngl.CULL_FACE)
        self._drawable.draw(self._shader)
        self._context.disable(moderngl.CULL_FACE)
        self._context.copy_framebuffer(camera.resolved, camera.frame)

    def _skin_points(self, bones: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        moved = bones.reshape(-1, 3, 4)[self._mesh.bones]
        points = np.einsum("vij,vj->vi", moved[:, :, :3], self._mesh.positions_m) + moved[:, :, 3]
        return np.asarray(points, dtype=np.float64)


def _extents(
    points: npt.NDArray[np.float64], owner: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.float64]:
    """(count, 4) x0, y0, x1, y1 of each owner's points; NaN for none. Owners are in order."""
    starts = np.searchsorted(owner, np.arange(count))
    low = np.fmin.reduceat(points, starts, axis=0)
    return np.concatenate([low, np.fmax.reduceat(points, starts, axis=0)], axis=1)
