"""``spoton simulate``: render a scene of walking people for an environment's cameras."""

import argparse
import time
from pathlib import Path

from control_plane.settings import Settings
from control_plane.terminal import counting_bar, print_json
from homography.environment import Environment, load_environments
from plugins.errors import UnknownEnvironmentError
from training.ground_truth import FOLDER
from training.simulate import Order, simulate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scene, and where it goes."""
    parser.add_argument("--environment", "-e", default="demo", help="id (default: demo)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same scene (default: 7)")
    parser.add_argument("--people", type=int, default=8, help="how many (default: 8)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--out", type=Path, required=True, help="folder, an object store's root")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.epilog = (
        "Writes {prefix}/{camera}/sub_video_NN.mp4 and ground_truth/ into the folder. To play it: "
        "SPOTON_OBJECT_STORE_URL=file://FOLDER spoton run -e ENVIRONMENT"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Renders it, or finds it rendered."""
    environment = _environment(args.environment, settings)
    out = args.out.absolute()
    order = Order(environment, args.seed, args.people, args.seconds, out)
    started_s = time.perf_counter()
    with counting_bar(f"rendering {environment.name}") as show:
        scene, was_there = simulate(order, show)
    taken_s = time.perf_counter() - started_s
    if args.json:
        print_json(
            {
                "environment_id": scene.environment_id,
                "out": str(out),
                "cached": was_there,
                "cameras": scene.cameras,
                "frames": scene.frames,
                "people": len(scene.people),
                "boxes": scene.boxes,
                "taken_s": round(taken_s, 1),
            }
        )
        return 0
    pictures = len(scene.cameras) * scene.frames
    done = "is there already" if was_there else f"took {taken_s:.0f} s"
    print(
        f"{environment.name}: {pictures} pictures of {len(scene.people)} people, "
        f"{scene.boxes} boxes, {done}; truth in {out / FOLDER}"
    )
    print(f"Play it: SPOTON_OBJECT_STORE_URL={out.as_uri()} spoton run -e {args.environment}")
    return 0


def _environment(name: str, settings: Settings) -> Environment:
    known = load_environments(settings.environment_folders()).environments
    if name not in known:
        raise UnknownEnvironmentError(
            f"there is no environment {name!r}; known: {', '.join(known)}. "
            "Add one by a file in the folder that SPOTON_ENVIRONMENTS_DIR names"
        )
    return known[name]
