"""The manifests hang together and agree with the program: names, ports, probes, settings."""

import shutil
import subprocess

import pytest
import yaml

from control_plane.commands.worker import GRACE_S
from control_plane.settings import DEFAULT_PORT
from tests.deployment.test_compose import KNOWN_VARIABLES, SERVICES
from tests.triton_fixtures import PROJECT

FOLDER = PROJECT / "docker" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [
    item
    for name in KUSTOMIZATION["resources"]
    for item in yaml.safe_load_all((FOLDER / name).read_text())
]
DEPLOYMENTS = {o["metadata"]["name"]: o["spec"] for o in OBJECTS if o["kind"] == "Deployment"}
VERSIONS = {
    "Namespace": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "PersistentVolumeClaim": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}


def of_kind(kind):
    return {o["metadata"]["name"]: o for o in OBJECTS if o["kind"] == kind}


def container(deployment):
    (only,) = DEPLOYMENTS[deployment]["template"]["spec"]["containers"]
    return only


def test_every_file_is_listed_and_every_kind_has_its_current_version():
    assert {p.name for p in FOLDER.iterdir()} == {*KUSTOMIZATION["resources"], "kustomization.yaml"}
    for item in OBJECTS:
        assert item["apiVersion"] == VERSIONS[item["kind"]]
    names = [(o["kind"], o["metadata"]["name"]) for o in OBJECTS]
    assert len(names) == len(set(names))


def test_kubectl_builds_them():
    """The client alone; no cluster is asked."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER)], capture_output=True, check=True, timeout=60
    )
    items = list(yaml.safe_load_all(built.stdout))
    assert len(items) == len(OBJECTS)
    images = [
        c["image"]
        for o in items
        if o["kind"] == "Deployment"
        for c in o["spec"]["template"]["spec"]["containers"]
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
    spec, pod = container(name), DEPLOYMENTS[name]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["readOnlyRootFilesystem"]
    assert spec["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= set(spec["resources"]["requests"])
    mounted = {mount["name"] for mount in spec["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    if name != "spoton-api":
        requests, limits = spec["resources"]["requests"], spec["resources"]["limits"]
        assert requests["nvidia.com/gpu"] == limits["nvidia.com/gpu"] == "1"


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
