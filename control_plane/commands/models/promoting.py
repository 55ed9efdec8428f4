"""``spoton models promote`` and ``rollback``: which version serves, changed under load."""

import argparse

from rich.markup import escape

from control_plane.commands.models.choices import (
    MODELS,
    engine_file,
    one_version,
    running_triton,
)
from control_plane.settings import Settings
from control_plane.terminal import console, print_json
from plugins.inference.promotion import Promotion, promote, rollback

WATCH_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A version to promote, or a model to roll back."""
    if parser.prog.endswith("promote"):
        parser.add_argument("which", type=one_version, metavar="MODEL/VERSION")
        parser.add_argument(
            "--watch",
            type=float,
            default=WATCH_S,
            metavar="SECONDS",
            help="go back when more than 5 %% of the requests fail meanwhile (default: 5)",
        )
    else:
        parser.add_argument("model", choices=MODELS)
        parser.add_argument("--to", type=int, metavar="VERSION", help="else the one before")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Promotes or rolls back, and says what serves."""
    engine = engine_file(settings)
    with running_triton(settings) as triton, console.status("loading and trying it"):
        if args.action == "promote":
            model, version = args.which
            done = promote(
                settings.model_repository,
                model,
                version,
                triton,
                watch_s=args.watch,
                engine=engine,
            )
        else:
            done = rollback(
                settings.model_repository, args.model, triton, to=args.to, engine=engine
            )
    _tell(done, as_json=args.json)
    return 0


def _tell(done: Promotion, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    when = "now" if done.is_loaded else "from the next start of Triton on (none runs here)"
    before = (
        f", in place of version {done.before}" if done.before not in {None, done.version} else ""
    )
    print(f"{done.model} version {done.version} serves {when}{before}")
    if done.model == "person_reid" and done.before != done.version:
        console.print(
            escape(
                "Stored persons carry vectors of the version before, which are never compared with "
                "new ones: `spoton models reindex` computes them anew from stored pictures."
            ),
            highlight=False,
        )
