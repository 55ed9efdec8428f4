"""``spoton api``: the control plane alone; its services are elsewhere or started here."""

import argparse

from control_plane.app import create_app, serve
from control_plane.embedded import running_services
from control_plane.settings import Settings
from homography.environment import load_environments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond the settings."""
    parser.epilog = "Address and port are SPOTON_HOST and SPOTON_PORT."


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Serves until it is told to end."""
    with running_services(settings, needed=("database_url", "redis_url")) as complete:
        catalogue = load_environments(complete.environment_folders())
        serve(complete, create_app(complete, catalogue))
    return 0
