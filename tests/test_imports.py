"""The rule that keeps the layers apart: control_plane, training → plugins → homography."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("homography", "plugins", "control_plane", "training")
PURE = {"numpy", "scipy", "cv2", "faiss", "msgspec"}
MAY_IMPORT = {
    "homography": {"homography"},
    "plugins": {"plugins", "homography"},
    "control_plane": {"control_plane", "plugins", "homography"},
    "training": {"training", "plugins", "homography"},
}
MAY_ALSO_IMPORT = {
    "control_plane/commands/simulate.py": {"training"},
    "control_plane/commands/evaluate.py": {"training"},
    "control_plane/demo.py": {"training"},  # renders what it plays
    "control_plane/commands/models/choices.py": {"training"},  # renders where no footage is named
    "control_plane/model_verdict.py": {"training"},  # its scores of boxes and vectors
}
ONLY_IN = {"gi": "plugins/gst/", "pyds": "plugins/deepstream/", "moderngl": "training/"}
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            modules.add(node.module or "")
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """No file imports a package above its own, gi or pyds outside their folder."""
    place = path.relative_to(ROOT).as_posix()
    roots = {module.partition(".")[0] for module in imported_modules(path)}
    allowed = MAY_IMPORT[place.partition("/")[0]] | MAY_ALSO_IMPORT.get(place, set())
    assert roots & set(PACKAGES) <= allowed
    for module, folder in ONLY_IN.items():
        assert module not in roots or place.startswith(folder)


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if p.is_relative_to(ROOT / "homography")]
    + [p for p in FILES if p.is_relative_to(ROOT / "plugins/tracking")],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_pure_packages_import_numbers_only(path):
    """The geometry and the tracking know arrays, but no service, clock or settings."""
    modules = imported_modules(path)
    foreign = {m.partition(".")[0] for m in modules} - set(sys.stdlib_module_names) - PURE
    assert foreign <= {"homography", "plugins"}
    ours = {m for m in modules if m.startswith("plugins")}
    allowed = (
        "plugins.tracking",
        "plugins.frames",
        "plugins.messages",
        "plugins.media_time",
        "plugins.errors",
    )
    assert all(m.startswith(allowed) for m in ours)
