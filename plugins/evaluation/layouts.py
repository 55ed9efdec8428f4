"""Which layout a folder has."""

from pathlib import Path

from homography.environment import Catalogue
from plugins.errors import InvalidInputError
from plugins.evaluation import calibrations, detected, filmed, rendered
from plugins.evaluation.footage import Footage

# Every layout, and one pattern for each file that it must have.
LAYOUTS = {
    filmed.LAYOUT: (filmed.VIDEOS, calibrations.FILE, filmed.TRUTH),
    detected.LAYOUT: (detected.DETECTIONS, calibrations.FILE, detected.TRUTH),
    rendered.LAYOUT: (
        f"{rendered.FOLDER}/{rendered.SCENE}",
        f"{rendered.FOLDER}/world.csv",
        f"{rendered.FOLDER}/*/gt.txt",
    ),
}


def read_footage(folder: Path, catalogue: Catalogue, rate_hz: float | None = None) -> Footage:
    """Reads a folder of any layout; ``rate_hz`` replaces what the files say.

    Raises InvalidInputError that names what is missing, or what the layouts are.
    """
    layout = layout_of(folder)
    if layout == detected.LAYOUT:
        return detected.read_detected(folder, rate_hz)
    if layout == filmed.LAYOUT:
        return filmed.read_filmed(folder, rate_hz)
    if rate_hz is not None:
        raise InvalidInputError("--rate: a rendered scene has its own; leave it out")
    return rendered.read_rendered(folder, catalogue)


def layout_of(folder: Path) -> str:
    """The layout whose files are there."""
    if not folder.is_dir():
        raise InvalidInputError(f"there is no folder {folder}")
    missing = {
        layout: [pattern for pattern in patterns if not any(folder.glob(pattern))]
        for layout, patterns in LAYOUTS.items()
    }
    for layout, patterns in missing.items():
        if not patterns:
            return layout
    nearest = min(missing, key=lambda layout: len(missing[layout]) - len(LAYOUTS[layout]))
    if len(missing[nearest]) < len(LAYOUTS[nearest]):
        raise InvalidInputError(
            f"{folder} looks like the layout {nearest!r} and lacks {', '.join(missing[nearest])}"
        )
    known = "; ".join(f"{name!r}: {', '.join(files)}" for name, files in LAYOUTS.items())
    raise InvalidInputError(f"{folder} has none of the layouts; there are {known}")
