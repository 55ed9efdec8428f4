"""``spoton evaluate``: how well identities are kept, against a truth and other methods."""

import argparse
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from control_plane.commands.run import speed
from control_plane.embedded import running_services
from control_plane.health.logs import configure_logging
from control_plane.identity.feedback_given import feedback_given, in_words
from control_plane.settings import Settings
from control_plane.terminal import console, counting_bar, print_json
from homography.environment import Catalogue, load_environments
from plugins.errors import InvalidInputError
from plugins.evaluation.baselines import ByAppearance, ByNearest, PerCameraTracks
from plugins.evaluation.detected import read_published
from plugins.evaluation.footage import Footage
from plugins.evaluation.layouts import read_footage
from plugins.evaluation.made_boxes import Mistakes, with_made_boxes
from plugins.evaluation.methods import Answers, Found, Method, Ours
from plugins.evaluation.playing import Run, play_boxes, play_videos
from plugins.evaluation.report import MethodScores, method_scores
from plugins.evaluation.rooms import parse_area
from plugins.evaluation.scores import Scores
from plugins.inference.cosines import tracking_parameters
from plugins.inference.detector import Detector
from plugins.inference.embedder import Embedder
from plugins.inference.triton_client import Triton
from training.simulate import Order, simulate

METHODS = ("ours", "appearance", "nearest")
PUBLISHED = "published"
NO_MODEL = "none"
COLUMNS = ("idf1", "hota", "deta", "assa", "mota", "moda")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is evaluated, by which method, and what is printed."""
    parser.add_argument(
        "source",
        metavar="PATH|NAME",
        help="a folder (see docs/evaluation.md), or an environment to render, such as demo",
    )
    parser.add_argument("--method", default="ours", choices=(*METHODS, "all"))
    parser.add_argument("--area", help="x0,x1,y0,y1: the metres of floor that are scored")
    parser.add_argument("--rate", type=float, help="frames a second, where the files do not say")
    parser.add_argument(
        "--speed", default="max", type=speed, help="factor of real time, or max (default)"
    )
    parser.add_argument("--seed", type=int, default=7, help="of rendering and --boxes (default 7)")
    _add_scene_arguments(parser)
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write pictures there")
    parser.add_argument(
        "--feedback", action="store_true", help="add what people said of the stored matches"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")


def _add_scene_arguments(parser: argparse.ArgumentParser) -> None:
    scene = parser.add_argument_group("rendered scenes")
    scene.add_argument("--people", type=int, default=12, help="with NAME (default 12)")
    scene.add_argument("--seconds", type=float, default=60.0, help="with NAME (default 60)")
    scene.add_argument(
        "--boxes", choices=("detector", "truth"), default="detector", help="who finds people"
    )
    parts = {"noise": "of a side, standard deviation", "misses": "of boxes", "clutter": "of boxes"}
    for name, what in parts.items():
        default = getattr(Mistakes(), name)
        scene.add_argument(
            f"--{name}", type=_share, default=default, help=f"share {what} (default {default})"
        )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Reads, plays, scores and prints."""
    configure_logging("warning", settings.log_format)
    footage = _footage(args, settings)
    wanted = _wanted(args.method, footage, settings.model_repository)
    played, answers = _play(footage, wanted, args, settings)
    if footage.layout == "detections" and args.method == "all":
        _add_published(answers, Path(args.source))
    scores = {name: method_scores(footage, answer) for name, answer in answers.items()}
    plots = _plots(args.plots, footage, answers) if args.plots else []
    said = feedback_given(settings) if args.feedback else None
    if args.json:
        more = {} if said is None else {"feedback": msgspec.to_builtins(said)}
        print_json(_summary(footage, played, scores) | more)
        return 0
    console.print(*(_table(footage, name, one) for name, one in scores.items()), sep="\n")
    console.print(f"{played.sets} sets, {played.dropped} dropped, {played.sets_per_s:.1f} sets/s")
    if said is not None:
        console.print(in_words(said))
    for path in plots:
        print(path)
    return 0


def _plots(folder: Path, footage: Footage, answers: Mapping[str, Answers]) -> list[Path]:
    # Loading Matplotlib takes longer than most evaluations of boxes.
    from plugins.evaluation.plots import write_plots  # noqa: PLC0415  # see above

    return write_plots(folder, footage, answers)


def _footage(args: argparse.Namespace, settings: Settings) -> Footage:
    catalogue = load_environments(settings.environment_folders())
    folder = Path(args.source)
    if not folder.exists() and args.source in catalogue.environments:
        folder = _rendered(args, catalogue, settings)
    if args.rate is not None and args.rate <= 0:
        raise InvalidInputError(f"--rate {args.rate:g}: give frames a second, more than 0")
    footage = read_footage(folder, catalogue, args.rate)
    if args.area:
        footage = replace(footage, area=parse_area(args.area))
    if args.boxes == "truth":
        mistakes = Mistakes(args.noise, args.misses, args.clutter, args.seed)
        footage = with_made_boxes(footage, mistakes)
    return footage


def _rendered(args: argparse.Namespace, catalogue: Catalogue, settings: Settings) -> Path:
    """Renders the environment once; the same call finds it again."""
    name = f"{args.source}-{args.people}-people-{args.seconds:g}-s-seed-{args.seed}"
    folder = settings.data_dir.resolve() / "evaluation" / re.sub(r"[^\w.-]", "_", name)
    environment = catalogue.environments[args.source]
    with counting_bar(f"rendering {environment.name}") as show:
        simulate(Order(environment, args.seed, args.people, args.seconds, folder), show)
    return folder


def _wanted(
    method: str, footage: Footage, repository: Path | None
) -> dict[str, Callable[[str], Method]]:
    """Each method by name, made once the embedding model is known."""
    makers: dict[str, Callable[[str], Method]] = {
        "ours": lambda model: Ours(
            footage.planes, footage.name, model, tracking_parameters(repository, model)
        ),
        "appearance": lambda _model: PerCameraTracks(footage.planes, ByAppearance()),
        "nearest": lambda _model: PerCameraTracks(footage.planes, ByNearest()),
    }
    if footage.detections is not None:
        if method == "appearance":
            raise InvalidInputError(
                f"{footage.name} has no pictures, so nobody can be told by appearance: choose "
                "another --method"
            )
        del makers["appearance"]
    return makers if method == "all" else {method: makers[method]}


def _play(
    footage: Footage,
    wanted: Mapping[str, Callable[[str], Method]],
    args: argparse.Namespace,
    settings: Settings,
) -> tuple[Run, dict[str, Answers]]:
    if footage.detections is not None:
        methods = {name: make(NO_MODEL) for name, make in wanted.items()}
        with counting_bar(footage.name) as show:
            played = play_boxes(footage, list(methods.values()), show)
    else:
        with _models(settings) as (detector, embedder), counting_bar(footage.name) as show:
            methods = {name: make(embedder.model_version) for name, make in wanted.items()}
            chosen = list(methods.values())
            played = play_videos(footage, chosen, detector, embedder, show, speed=args.speed)
    return played, {name: method.finish() for name, method in methods.items()}


@contextlib.contextmanager
def _models(settings: Settings) -> Iterator[tuple[Detector, Embedder]]:
    with console.status("starting Triton") as status:
        services = running_services(settings, needed=("triton_url",))
        with services as complete:
            triton = Triton(
                complete.triton_url or "",
                deadline_s=settings.service_patience_s,
                repository=settings.model_repository,
            )
            with contextlib.closing(triton):
                detector = Detector(triton, score_threshold=settings.score_threshold)
                embedder = Embedder(triton)
                status.stop()
                yield detector, embedder


def _add_published(answers: dict[str, Answers], folder: Path) -> None:
    floor = read_published(folder)
    if floor is not None:
        answers[PUBLISHED] = Answers(Found(floor=floor))


def _summary(
    footage: Footage, played: Run, scores: Mapping[str, MethodScores]
) -> dict[str, object]:
    """The first method's scores at the top; all of them under ``methods`` where there are more."""
    builtins = {name: msgspec.to_builtins(one) for name, one in scores.items()}
    first = next(iter(builtins))
    area = footage.area and [footage.area.x0, footage.area.x1, footage.area.y0, footage.area.y1]
    summary = {
        "source": footage.name,
        "layout": footage.layout,
        "rate_hz": footage.rate_hz,
        "area": area,
        "method": first,
        "run": msgspec.to_builtins(played),
        **builtins[first],
    }
    return summary if len(builtins) == 1 else {**summary, "methods": builtins}


def _table(footage: Footage, method: str, scores: MethodScores) -> Table:
    title = f"{footage.name} ({footage.layout}): {method}"
    counts = ("switches", "ids")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in (*COLUMNS, *counts):
        table.add_column(column, justify="right")
    for name, one in _rows(scores):
        if one is not None:
            shares = [f"{getattr(one, column):.3f}" for column in COLUMNS]
            table.add_row(name, *shares, *(str(getattr(one, column)) for column in counts))
    return table


def _rows(scores: MethodScores) -> Sequence[tuple[str, Scores | None]]:
    return [
        *(scores.cameras or {}).items(),
        ("cross-camera", scores.cross_camera),
        ("cross-camera, settled", scores.cross_camera_lagged),
        ("floor 0.5 m", scores.ground_half),
        ("floor 0.5 m, settled", scores.ground_half_lagged),
        ("floor 1 m", scores.ground_one),
        ("floor 1 m, settled", scores.ground_one_lagged),
    ]
