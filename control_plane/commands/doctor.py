"""``spoton doctor``: looks at machine, services, models and calibration, and says what to do."""

import argparse
from contextlib import ExitStack
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from control_plane.embedded import ALL, running_services
from control_plane.health import diagnoses, machine_facts
from control_plane.health.diagnoses import Finding
from control_plane.health.logs import configure_logging
from control_plane.health.probes import Component
from control_plane.settings import Settings
from control_plane.terminal import console, print_json
from homography.environment import Catalogue, load_environments
from plugins.deepstream.driver import ask_decoder
from plugins.deepstream.presence import Presence, choose_profile, look_around
from plugins.errors import InvalidInputError, SpotOnError
from plugins.gst.elements import missing_elements

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to print, and a log to look through."""
    parser.epilog = "Services without a URL are started for it. Exits with 1 if anything fails."
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--log", type=Path, help="also look for known failures in this log")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Looks, judges, prints."""
    configure_logging("error", settings.log_format)
    catalogue = load_environments(settings.environment_folders())
    findings = of_machine(settings) + of_services(settings, catalogue)
    if args.log is not None:
        findings += of_log_file(args.log)
    if args.json:
        checks = msgspec.to_builtins(findings)
        print_json({"status": diagnoses.worst(findings), "checks": checks})
    else:
        Console().print(_table(findings))
    return int(diagnoses.worst(findings) == "fail")


def of_machine(settings: Settings) -> list[Finding]:
    """Everything that needs no service."""
    presence, wanted = look_around(), settings.profile
    profile, refusal = None, ""
    try:
        profile = choose_profile(wanted, presence)
    except InvalidInputError as error:
        refusal = str(error)
    is_gpu = profile is None or profile.name == "gpu"
    parts = [] if wanted == "cpu" else _of_gpu_parts(settings, presence, is_needed=is_gpu)
    folder, has_bindings = settings.data_dir.resolve(), presence.has_bindings
    decodes = has_bindings and not missing_elements(("avdec_h264",))
    return [
        diagnoses.of_profile(wanted, profile, refusal),
        *(parts if is_gpu else diagnoses.of_parts_not_needed(parts)),
        diagnoses.of_cpu_decoder(has_bindings=has_bindings, is_there=decodes),
        diagnoses.of_disk(str(folder), machine_facts.free_bytes(folder)),
        diagnoses.of_shared_memory(machine_facts.shared_memory_bytes()),
    ]


def _of_gpu_parts(settings: Settings, presence: Presence, *, is_needed: bool) -> list[Finding]:
    """What the GPU profile needs."""
    gpu, repository = machine_facts.read_gpu(), settings.model_repository
    found = [
        *diagnoses.of_presence(presence),
        *diagnoses.of_gpu(gpu, is_needed=is_needed, tasks=settings.tasks_at_once),
        *diagnoses.of_decoders(None if gpu is None else ask_decoder()),
    ]
    if is_needed:
        plans = machine_facts.read_plans(repository)
        found += diagnoses.of_plans(plans, gpu, machine_facts.read_tensorrt())
        found += diagnoses.of_lacking_plans(machine_facts.lacking_plans(repository))
    return found


def of_services(settings: Settings, catalogue: Catalogue) -> list[Finding]:
    """Services, models and calibration; those without a URL are started, each for itself."""
    failed: dict[str, Component] = {}
    with ExitStack() as stack, console.status("starting services") as status:
        complete = settings
        for field in ALL:
            try:
                services = running_services(complete, status.update, needed=(field,))
                complete = stack.enter_context(services)
            except SpotOnError as error:
                failed[field.removesuffix("_url")] = Component("away", str(error))
        status.update("asking them")
        components, skew_s = machine_facts.read_components(complete, catalogue)
        findings = diagnoses.of_components(components | failed)
        if all(components[name].status == "ok" for name in ("detector_model", "reid_model")):
            problem = machine_facts.contract_problem(complete.triton_url or "")
            findings.append(diagnoses.of_contract(problem))
        return findings + diagnoses.of_clock(skew_s)


def of_log_file(path: Path) -> list[Finding]:
    """Known failures of a log. InvalidInputError where it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return diagnoses.of_log(lines)
    except OSError as error:
        raise InvalidInputError(f"--log {path} cannot be read: {error.strerror}") from error


def _table(findings: list[Finding]) -> Table:
    table = Table("what", "", "how it is", "what to do", highlight=False)
    for finding in findings:
        status = f"[{STYLES[finding.status]}]{finding.status}[/]"
        table.add_row(finding.name, status, finding.message, finding.cure)
    return table
