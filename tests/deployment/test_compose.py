"""compose.yaml and the images: complete, hardened, and in agreement with the settings."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from control_plane.settings import SECRETS, Settings, read_settings, variable_name
from tests.triton_fixtures import PROJECT

COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILES = sorted((PROJECT / "docker").glob("*.Dockerfile"))
OURS = ("spoton", "api", "worker")
# What the Compose specification knows of a service, as far as it could be of use here.
KNOWN_KEYS = set(
    "build cap_add cap_drop command configs container_name depends_on deploy devices dns entrypoint"
    " env_file environment expose extra_hosts group_add healthcheck hostname image init ipc labels"
    " logging networks network_mode pid ports privileged profiles pull_policy read_only restart"
    " secrets security_opt shm_size stop_grace_period stop_signal sysctls tmpfs ulimits user"
    " volumes working_dir".split()
)
KNOWN_VARIABLES = (
    {variable_name(field) for field in Settings.__struct_fields__}
    | {f"{variable_name(field)}_FILE" for field in SECRETS}
    | {"AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION"}
)


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_known_keys_a_pinned_image_and_a_health_check(name):
    """Our own images bring theirs along; a worker serves nothing that could be asked."""
    service = SERVICES[name]
    assert set(service) <= KNOWN_KEYS
    assert re.search(r":[\w.-]*\d[\w.-]*$", service["image"]), service["image"]
    if name not in OURS:
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_runs_hardened(name):
    """No root, nothing to write but what is mounted, no new privileges, restarted when it dies."""
    service = SERVICES[name]
    assert service["read_only"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert not service.get("privileged")
    if name != "database":  # its image drops to its own user after it has prepared its folder
        assert service["user"].split(":")[0] not in {"0", "root"}


def test_whatever_is_referred_to_exists():
    for service in SERVICES.values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            is_known = source in COMPOSE["volumes"] or (PROJECT / source).exists()
            assert is_known, volume
        if "build" in service:
            assert (PROJECT / service["build"]["dockerfile"]).is_file()


def test_cpu_profile_has_no_part_of_nvidia_s():
    for name, service in SERVICES.items():
        text = str(service).lower()
        if "gpu" not in service.get("profiles", ()):
            assert "nvidia" not in text, name
            assert "service:triton" not in text, name


def test_each_profile_has_everything_a_task_needs():
    def of(profile):
        return {n for n, s in SERVICES.items() if profile in s.get("profiles", [profile])}

    always = {"database", "redis", "objects", "prometheus", "grafana"}
    assert of("cpu") == always | {"spoton"}
    assert of("gpu") == always | {"api", "worker", "triton"}


@pytest.mark.parametrize("name", OURS)
def test_environment_is_one_that_the_settings_read(name, tmp_path):
    """Every variable is known, and the values, secrets included, are accepted."""
    environment = dict(SERVICES[name]["environment"])
    assert set(environment) <= KNOWN_VARIABLES
    for variable, value in environment.items():
        environment[variable] = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        if variable.endswith("_FILE"):
            path = tmp_path / Path(value).name
            path.write_text("a-secret-of-some-thirty-two-letters\n")
            environment[variable] = str(path)
    settings = read_settings(environment)
    assert settings.signing_key == "a-secret-of-some-thirty-two-letters"
    assert settings.object_store_url == "s3://recordings"


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_environment(name):
    for variable, value in (SERVICES[name].get("environment") or {}).items():
        if re.search("PASSWORD|SECRET|KEY|CREDENTIALS|DATABASE_URL|REDIS_URL", variable):
            assert str(value).startswith("/run/secrets/"), variable


def test_worker_shares_with_triton_what_cuda_buffers_need():
    assert SERVICES["triton"]["ipc"] == "shareable"
    assert SERVICES["worker"]["ipc"] == SERVICES["worker"]["pid"] == "service:triton"
    assert SERVICES["worker"]["user"] == SERVICES["triton"]["user"]


def test_secrets_are_made_once_and_all_of_them(tmp_path):
    """A second run changes nothing."""
    folder = tmp_path / "secrets"
    command = ["sh", str(PROJECT / "docker" / "make-secrets.sh"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    subprocess.run(command, check=True, capture_output=True)

    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert set(COMPOSE["secrets"]) <= set(before)
    assert before["database_password"] in before["database_url"]
    assert len(before["data_key"]) == 64
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: p.name)
def test_image_is_built_with_care(path):
    """The rules of hadolint that matter here."""
    text = path.read_text()
    instructions = re.sub(
        r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    ).splitlines()
    kinds = [line.split()[0] for line in instructions if line.strip()]
    base = next(line.split()[1] for line in instructions if line.startswith("FROM"))
    users = [line.split()[1] for line in instructions if line.startswith("USER")]

    assert re.search(r":\d", base), "a pinned tag"
    assert users[-1] not in {"root", "0"}
    assert "ADD" not in kinds
    assert not re.search(r"(ENV|ARG) .*(PASSWORD|SECRET|TOKEN|_KEY)", text)
    for line in instructions:
        if "install-system-packages.sh &&" in line:
            assert "rm -rf /var/lib/apt/lists" in line
        if "pip install" in line and "-r " in line:
            assert "--require-hashes" in line
        if line.startswith(("CMD", "ENTRYPOINT")):
            assert '["' in line, "exec form, so that signals arrive"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: p.name)
def test_everything_an_image_copies_is_let_through(path):
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    for line in path.read_text().splitlines():
        if line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert (PROJECT / source).exists(), source
                assert {source, source.split("/")[0]} & allowed, source
