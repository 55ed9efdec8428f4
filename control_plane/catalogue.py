"""Looking an environment up, with one answer for everybody who asks for one that is not there."""

from homography.environment import Catalogue, Environment
from plugins.errors import UnknownEnvironmentError


def known_environment(catalogue: Catalogue, environment_id: str) -> Environment:
    """One environment; UnknownEnvironmentError names those there are."""
    environment = catalogue.environments.get(environment_id)
    if environment is None:
        known = ", ".join(sorted(catalogue.environments)) or "none"
        raise UnknownEnvironmentError(
            f"there is no environment {environment_id!r}; known here: {known}; add one as a TOML "
            "file in the folder SPOTON_ENVIRONMENTS_DIR"
        )
    return environment
