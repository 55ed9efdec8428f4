"""The real laboratory footage as a complete installation: recordings, environment file, models.

``python -m tests.lab FOLDER`` prepares it for ``make run``; the end-to-end tests use it as well.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plugins.inference.model_import import import_model
from tests.lab_environment import CAMERA_IDS, write_lab_environment
from tests.recordings import split_video

SETS = 268
PREFIX = "lab4"
CUTS = {
    "cam0": (100, 1, 60, 107),
    "cam1": (33, 135, 100),
    "cam2": (268,),
    "cam3": (7, 130, 90, 41),
}
CONFIGS = Path(__file__).parent.parent / "model_repository"
DONE = "complete"


@dataclass(frozen=True, slots=True)
class Lab:
    """Where its parts lie; ``recordings`` is the object store's folder."""

    environments: Path
    recordings: Path
    model_repository: Path

    def settings(self) -> dict[str, str]:
        """The variables that make SpotOn use it."""
        return {
            "SPOTON_ENVIRONMENTS_DIR": str(self.environments),
            "SPOTON_OBJECT_STORE_URL": self.recordings.resolve().as_uri(),
            "SPOTON_MODEL_REPOSITORY": str(self.model_repository),
        }


def prepare_lab(folder: Path, test_data: Path, size_hw: tuple[int, int] = (192, 320)) -> Lab:
    """Cuts the videos into sub-videos of uneven length and imports RTMDet and OSNet, once."""
    lab = Lab(folder / "environments", folder / "recordings", folder / "model_repository")
    if (folder / DONE).exists():
        return lab
    shutil.rmtree(folder, ignore_errors=True)
    lab.environments.mkdir(parents=True)
    write_lab_environment(lab.environments, test_data, PREFIX)
    for camera_id in CAMERA_IDS:
        cut_camera(lab.recordings, test_data, camera_id, CUTS[camera_id])
    import_models(lab.model_repository, test_data, size_hw)
    (folder / DONE).touch()
    return lab


def cut_camera(
    recordings: Path, test_data: Path, camera_id: str, frame_counts: Sequence[int]
) -> None:
    """One camera's video as sub-videos of so many frames each."""
    source = test_data / "lab4" / "videos" / f"{camera_id}.mp4"
    split_video(source, recordings / PREFIX / camera_id, frame_counts)


def import_models(repository: Path, test_data: Path, size_hw: tuple[int, int]) -> None:
    """The project's model configurations with the open detector and embedder beside them."""
    shutil.copytree(CONFIGS, repository, ignore=shutil.ignore_patterns("[0-9]*"))
    models = test_data / "models"
    import_model(models / "rtmdet_nano.onnx", "person_detector", "rtmdet", repository, size_hw)
    import_model(models / "osnet_x0_25_msmt17.onnx", "person_reid", "osnet", repository)


if __name__ == "__main__":
    prepare_lab(Path(sys.argv[1]), Path(sys.argv[2]))
