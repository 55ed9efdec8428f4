"""``spoton models list``: what is installed, and what serves where."""

import argparse
from collections.abc import Mapping

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from control_plane.commands.models.choices import MODELS, running_triton
from control_plane.settings import Settings
from control_plane.terminal import print_json
from plugins.inference.model_import import ImportedModel, list_models, serving_version
from plugins.inference.plan_cache import read_plan_record
from plugins.inference.serving import pinned_version
from plugins.inference.tensorrt_build import PLAN_FILE
from plugins.inference.triton_client import Triton


class ListedModel(msgspec.Struct, frozen=True):
    """One installed version. ``is_chosen`` serves from the next start on, ``is_loaded`` answers
    now (None where no Triton runs); ``plan`` says what a TensorRT plan was built for.
    """

    model: str
    version: int
    layout: str
    size: tuple[int, int] | None
    source: str
    sha256: str
    plan: str
    is_chosen: bool
    is_pinned: bool
    is_loaded: bool | None


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Prints a table, or JSON."""
    installed = list_models(settings.model_repository)
    with running_triton(settings) as triton:
        loaded = loaded_versions(triton)
        url = triton.url if triton else None
    listed = [_listed(each, loaded) for each in installed]
    if args.json:
        print_json({"models": listed, "triton": url})
    else:
        Console().print(_table(listed))
        print(f"Triton: {url}" if url else "No Triton runs here; TRITON_URL names one elsewhere.")
    return 0


def loaded_versions(triton: Triton | None) -> Mapping[str, set[int]] | None:
    """Versions that answer now, by model; None without a server."""
    if triton is None:
        return None
    return {model: triton.versions(model) for model in MODELS}


def _listed(each: ImportedModel, loaded: Mapping[str, set[int]] | None) -> ListedModel:
    folder, record = each.path.parent, each.record
    return ListedModel(
        model=each.model,
        version=each.version,
        layout=record.layout if record else "",
        size=record.size if record else None,
        source=record.source_name if record else "",
        sha256=each.sha256,
        plan=_plan(each),
        is_chosen=serving_version(folder.parent) == folder,
        is_pinned=pinned_version(folder.parent) == each.version,
        is_loaded=None if loaded is None else each.version in loaded.get(each.model, set()),
    )


def _plan(each: ImportedModel) -> str:
    if not (each.path.parent / PLAN_FILE).is_file():
        return ""
    record = read_plan_record(each.path.parent)
    return f"{record.gpu}, TensorRT {record.tensorrt}" if record else "built for nobody knows what"


def _table(listed: list[ListedModel]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("model/version", "serves", "layout", "size", "sha256", "plan"):
        table.add_column(title, no_wrap=title != "plan", overflow="fold")
    for each in listed:
        size = f"{each.size[0]}x{each.size[1]}" if each.size else ""
        name = f"{each.model}/{each.version}"
        table.add_row(name, _serves(each), each.layout, size, each.sha256[:12], each.plan or "-")
    return table


def _serves(each: ListedModel) -> str:
    """Now, or from the next start on."""
    words = ["now"] if each.is_loaded else []
    if each.is_chosen and not each.is_loaded:
        words.append("next start")
    if each.is_pinned:
        words.append("(pinned)")
    return " ".join(words)
