"""``spoton openapi``: the OpenAPI document on standard output."""

import argparse

import msgspec

from control_plane.app import create_app
from control_plane.settings import Settings
from homography.environment import load_environments


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Prints it; connects to nothing."""
    app = create_app(settings, load_environments(settings.environment_folders()))
    document = msgspec.json.encode(app.openapi_schema.to_schema())
    print(msgspec.json.format(document, indent=2).decode())
    return 0
