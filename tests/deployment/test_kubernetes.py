"""The manifests hang together and agree with the program: names, ports, probes, settings."""

import copy
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from control_plane.commands.worker import GRACE_S
from control_plane.settings import DEFAULT_PORT
from tests.deployment.test_compose import KNOWN_VARIABLES, SERVICES
from tests.triton_fixtures import PROJECT
from tests.waiting import PATIENCE_S

FOLDER = PROJECT / "docker" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [
    item
    for name in KUSTOMIZATION["resources"]
    for item in yaml.safe_load_all((FOLDER / name).read_text())
]
DEPLOYMENTS = {o["metadata"]["name"]: o["spec"] for o in OBJECTS if o["kind"] == "Deployment"}
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "kubernetes.json").read_text())


def of_kind(kind):
    return {o["metadata"]["name"]: o for o in OBJECTS if o["kind"] == kind}


def container(deployment):
    (only,) = DEPLOYMENTS[deployment]["template"]["spec"]["containers"]
    return only


def violations(item) -> list[str]:
    """What Kubernetes's own definitions say against it."""
    name = SCHEMA["kinds"][f"{item['apiVersion']} {item['kind']}"]
    schema = {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(item)]


@pytest.mark.parametrize("item", OBJECTS, ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_manifest_follows_kubernetes_own_definitions(item):
    """And what is misspelt is refused."""
    assert violations(item) == []
    wrong = copy.deepcopy(item)
    wrong["metadata"]["label"] = {}
    assert violations(wrong) == ["$.metadata"]


def containers(pod):
    return [*pod.get("initContainers", ()), *pod["containers"]]


def test_every_file_is_listed_and_no_object_twice():
    assert {p.name for p in FOLDER.iterdir()} == {*KUSTOMIZATION["resources"], "kustomization.yaml"}
    names = [(o["kind"], o["metadata"]["name"]) for o in OBJECTS]
    assert len(names) == len(set(names))


def test_kubectl_builds_them():
    """The client alone; no cluster is asked."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER)], capture_output=True, check=True, timeout=PATIENCE_S
    )
    items = list(yaml.safe_load_all(built.stdout))
    assert len(items) == len(OBJECTS)
    assert [violations(item) for item in items if violations(item)] == []
    images = [
        c["image"]
        for o in items
        if o["kind"] == "Deployment"
        for c in containers(o["spec"]["template"]["spec"])
    ]
    assert all(":" in image and not image.endswith("latest") for image in images)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_selectors_services_and_budgets_find_their_pods(name):
    spec = DEPLOYMENTS[name]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    budget = of_kind("PodDisruptionBudget")[name]["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    if name in of_kind("Service"):
        service = of_kind("Service")[name]["spec"]
        assert service["selector"].items() <= labels.items()
        ports = {port["name"] for port in container(name)["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= ports


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_run_hardened_and_say_what_they_need(name):
    pod, mounted = DEPLOYMENTS[name]["template"]["spec"], set()
    assert pod["securityContext"]["runAsNonRoot"]
    for spec in containers(pod):
        assert spec["securityContext"]["readOnlyRootFilesystem"]
        assert spec["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(spec["resources"]["requests"])
        mounted |= {mount["name"] for mount in spec["volumeMounts"]}
        if name != "spoton-api":
            requests, limits = spec["resources"]["requests"], spec["resources"]["limits"]
            assert requests["nvidia.com/gpu"] == limits["nvidia.com/gpu"] == "1"
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_plans_are_built_before_triton_starts():
    """As in compose.yaml; Triton itself may not write to the claim."""
    pod = DEPLOYMENTS["triton"]["template"]["spec"]
    (engines,) = pod["initContainers"]
    assert engines["args"] == SERVICES["engines"]["command"]
    assert {v["name"] for v in engines["env"]} <= KNOWN_VARIABLES
    writes = {mount["name"]: not mount.get("readOnly") for mount in engines["volumeMounts"]}
    reads = {mount["name"]: mount.get("readOnly") for mount in container("triton")["volumeMounts"]}
    assert writes["models"]
    assert reads["models"]
    (claim,) = [v["persistentVolumeClaim"] for v in pod["volumes"] if v["name"] == "models"]
    assert not claim.get("readOnly")


def test_api_is_probed_where_it_answers_and_scaled_between_limits():
    api = container("spoton-api")
    assert api["ports"] == [{"name": "http", "containerPort": DEFAULT_PORT}]
    assert api["livenessProbe"]["httpGet"] == {"path": "/live", "port": "http"}
    assert api["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    scaler = of_kind("HorizontalPodAutoscaler")["spoton-api"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "spoton-api"
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert "replicas" not in DEPLOYMENTS["spoton-api"], "the autoscaler's number would be undone"


def test_worker_has_time_to_give_its_tasks_up():
    grace_s = DEPLOYMENTS["spoton-worker"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s > GRACE_S
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > GRACE_S


def test_settings_are_known_and_triton_is_started_as_in_compose():
    settings = of_kind("ConfigMap")["spoton-settings"]["data"]
    assert set(settings) <= KNOWN_VARIABLES
    for name in ("spoton-api", "spoton-worker"):
        assert {v["name"] for v in container(name)["env"]} <= KNOWN_VARIABLES
    assert ["tritonserver", *container("triton")["args"]] == SERVICES["triton"]["command"]
    ports = {p["name"]: p["containerPort"] for p in container("triton")["ports"]}
    assert settings["TRITON_URL"] == f"triton:{ports['grpc']}"


def test_network_lets_the_needed_ports_through_and_nothing_else():
    policies = {name: o["spec"] for name, o in of_kind("NetworkPolicy").items()}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for name, policy in policies.items():
        if name == "nobody":
            continue
        label = policy["podSelector"]["matchLabels"]["app"]
        named = {port["name"] for port in container(label)["ports"]}
        assert {p["port"] for rule in policy["ingress"] for p in rule["ports"]} <= named
        assert all(rule["from"] for rule in policy["ingress"])
