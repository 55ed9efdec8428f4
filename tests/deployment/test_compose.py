"""compose.yaml and the images: complete, hardened, and in agreement with the settings."""

import copy
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from control_plane.__main__ import parser
from control_plane.settings import SECRETS, Settings, read_settings, variable_name
from plugins.inference.tensorrt_build import IMAGE
from tests.triton_fixtures import PROJECT

COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILES = sorted((PROJECT / "docker").glob("*.Dockerfile"))
OURS = ("spoton", "api", "worker")
ONCE = ("engines",)
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
KNOWN_VARIABLES = (
    {variable_name(field) for field in Settings.__struct_fields__}
    | {f"{variable_name(field)}_FILE" for field in SECRETS}
    | {"AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION"}
)


def violations(compose) -> list[str]:
    """What the Compose Specification's own schema says against it."""
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(compose)]


def interpolated(value, variables):
    """As Compose fills variables in: with their default, with "" where there is none."""
    if isinstance(value, dict):
        return {key: interpolated(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        return "$" if name is None else variables.get(name) or default or ""

    return re.sub(r"\$(?:\$|\{(\w+)(?::-([^}]*))?\})", fill, value)


def test_it_follows_the_compose_specification():
    """With no variable set and with all of them."""
    variables = {
        "NVIDIA_REGISTRY": "registry.example",
        "SPOTON_PUBLISH": "0.0.0.0:80",
        "SPOTON_SECRETS": "/etc/spoton",
    }
    for given in ({}, variables):
        assert violations(interpolated(COMPOSE, given)) == []


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("triton", "depends_on", {"engines": {"condition": "service_done"}}),
        ("redis", "memory", "1gb"),
        ("api", "ports", "3847:3847"),
    ],
)
def test_what_is_not_in_the_specification_is_refused(service, key, value):
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"][service][key] = value
    assert f"$.services.{service}" in violations(wrong)


def test_every_variable_has_a_default_and_none_is_left_over():
    """Nothing has to be set for the cpu profile; NVIDIA's registry says by its name that it is."""
    text = (PROJECT / "compose.yaml").read_text()
    uses = re.findall(r"(?<!\$)\$\{(\w+)(:-[^}]*)?\}", text)
    assert uses
    assert [name for name, default in uses if not default] == []
    filled = json.dumps(interpolated(COMPOSE, {}))
    assert "${" not in filled
    assert SERVICES["worker"]["build"]["args"]["NVIDIA_REGISTRY"].endswith("unset}")
    assert '"127.0.0.1:3847:3847"' in filled
    assert "$(cat /run/secrets/redis_password)" in filled


def test_who_is_waited_for_starts_in_every_profile_of_the_waiting():
    for name, service in SERVICES.items():
        for other in service.get("depends_on", ()):
            theirs = SERVICES[other].get("profiles")
            assert theirs is None or set(service.get("profiles", ())) <= set(theirs), (name, other)


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_a_pinned_image_and_a_health_check(name):
    """Our own images bring theirs along; a worker serves nothing that could be asked."""
    service = SERVICES[name]
    assert re.search(r":[\w.-]*\d[\w.-]*$", service["image"]), service["image"]
    if name not in OURS + ONCE:
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_runs_hardened(name):
    """No root, nothing to write but what is mounted, no new privileges, restarted when it dies,
    but for what ends.
    """
    service = SERVICES[name]
    assert service["read_only"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
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
    assert of("gpu") == always | {"api", "engines", "worker", "triton"}


def test_plans_are_built_before_triton_starts():
    """By a command that there is, with the trtexec of the very image that serves them, into the
    folder that Triton reads.
    """
    engines, triton = SERVICES["engines"], SERVICES["triton"]
    assert triton["depends_on"] == {"engines": {"condition": "service_completed_successfully"}}
    args = parser("models").parse_args(engines["command"])
    assert (args.action, args.missing, args.precision) == ("build", True, "fp16")
    assert set(engines["environment"]) <= KNOWN_VARIABLES
    settings = read_settings(engines["environment"])
    assert f"./model_repository:{settings.model_repository}" in engines["volumes"]
    assert f"./model_repository:{settings.model_repository}:ro" in triton["volumes"]
    assert f"--model-repository={settings.model_repository}" in triton["command"]
    dockerfile = (PROJECT / engines["build"]["dockerfile"]).read_text()
    base = re.search(r"^FROM \$\{NVIDIA_REGISTRY\}(/\S+)$", dockerfile, re.MULTILINE)
    assert base is not None
    assert triton["image"].endswith(base[1])
    assert base[1].endswith(IMAGE)


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
