"""Every metric a dashboard or alert names exists, in our registry or in Triton's documentation."""

import json
import re

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from control_plane.health.metrics import Metrics
from tests.deployment.test_compose import SERVICES
from tests.triton_fixtures import PROJECT

FOLDER = PROJECT / "docker" / "monitoring"
BOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
# Of Triton's documented names, those in use.
TRITON = set(
    "nv_inference_count nv_inference_exec_count nv_inference_request_success"
    " nv_inference_request_failure nv_inference_queue_duration_us"
    " nv_inference_compute_infer_duration_us nv_gpu_utilization nv_gpu_memory_used_bytes"
    " nv_gpu_memory_total_bytes".split()
)
NAME = re.compile(r"\b((?:spoton|nv|process)_[a-z0-9_]+)")


def our_names() -> set[str]:
    """Sample names of the registry; those of labels that are not there yet, as they will be."""
    names = set()
    for family in text_string_to_metric_families(Metrics().text().decode()):
        names |= {family.name, f"{family.name}_total", f"{family.name}_bucket"}
        names |= {sample.name for sample in family.samples}
    return names


def named(text: str) -> set[str]:
    return set(NAME.findall(text))


@pytest.mark.parametrize("path", BOARDS, ids=lambda p: p.stem)
def test_dashboard_is_sound_and_names_known_metrics(path):
    board = json.loads(path.read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "prometheus"
        for target in panel["targets"]:
            found = named(target["expr"])
            assert found
            assert found <= our_names() | TRITON, target["expr"]
            assert target["expr"].count("(") == target["expr"].count(")")


def test_alerts_name_known_metrics_and_say_what_to_do():
    rules = [
        rule
        for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
    ]
    for rule in rules:
        assert named(rule["expr"])
        assert named(rule["expr"]) <= our_names() | TRITON
        assert rule["annotations"]["summary"]


def test_what_is_scraped_and_shown_is_in_compose():
    jobs = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    targets = [t for job in jobs for c in job["static_configs"] for t in c["targets"]]
    aliases = {
        alias
        for service in SERVICES.values()
        for alias in service.get("networks", {}).get("default", {}).get("aliases", ())
    }
    assert {target.split(":")[0] for target in targets} <= aliases | set(SERVICES)
    (source,) = yaml.safe_load((FOLDER / "datasources.yaml").read_text())["datasources"]
    assert source["uid"] == "prometheus"
    mounted = str(SERVICES["grafana"]["volumes"]) + str(SERVICES["prometheus"]["volumes"])
    for path in FOLDER.iterdir():
        assert f"docker/monitoring/{path.name}:" in mounted
