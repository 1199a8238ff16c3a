"""The manifests are what Kubernetes takes, what the service needs, and no more than it may do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from adapters.http.server import _GRACE
from adapters.http.user_api import DEADLINE
from service.cli import parser
from service.settings import USED_BY, VARIABLES
from tests.deploy.images import ROOT
from tests.programs import unavailable

MANIFESTS = ROOT / "deploy/kubernetes"
# The oldest release that has what is used (a pause before the end of a pod), and the newest known.
RELEASES = ("1.30", "1.37")
VAULT = "azure-key-vault.yaml"
Manifest = dict[str, Any]

FILES: dict[str, list[Manifest]] = {
    path.name: list(yaml.safe_load_all(path.read_text())) for path in MANIFESTS.glob("*.yaml")
}
KUSTOMIZATION = FILES.pop("kustomization.yaml")[0]
OBJECTS = {
    f"{one['kind']}/{one['metadata']['name']}": one for found in FILES.values() for one in found
}
PODS = {
    name: one["spec"]["template"]
    for name, one in OBJECTS.items()
    if one["kind"] in ("Deployment", "Job")
}
DEPLOYMENTS = {name: one for name, one in OBJECTS.items() if one["kind"] == "Deployment"}
SETTINGS = dict(line.split("=", 1) for line in KUSTOMIZATION["configMapGenerator"][0]["literals"])
# What needs more than Kubernetes itself, whose schemas are not among those of the validator.
EXTRAS = {path.name: path.read_text() for path in (MANIFESTS / "extras").glob("*.yaml")}


def _containers(pod: Manifest) -> Iterator[Manifest]:
    yield from pod["spec"]["containers"]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", OBJECTS)
def test_a_manifest_fits_the_schema_strictly(name: str, release: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], release, strict=True)


def test_the_validator_refuses_what_is_misspelt() -> None:
    broken = yaml.safe_load(yaml.safe_dump(OBJECTS["Deployment/payments-api"]))
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, RELEASES[-1], strict=True)


def test_every_file_is_applied_and_every_image_is_named() -> None:
    assert set(KUSTOMIZATION["resources"]) == FILES.keys()
    images = {container["image"] for pod in PODS.values() for container in _containers(pod)}
    assert images == {image["name"] for image in KUSTOMIZATION["images"]}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_as_little_as_possible(name: str) -> None:
    pod = PODS[name]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in _containers(PODS[name]):
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_a_command_with_every_setting_it_needs(name: str) -> None:
    for container in _containers(PODS[name]):
        options = parser().parse_args(container["args"])
        given = {one["name"]: one["value"] for one in container.get("env", ())}
        if container.get("envFrom"):
            given |= SETTINGS
        known = {variable.name for variable in VARIABLES.values()}
        assert {key.removesuffix("_FILE") for key in given} <= known
        for field in USED_BY[options.command]:
            variable = VARIABLES[field]
            if variable.required and variable.default is None:
                key = f"{variable.name}_FILE" if variable.secret else variable.name
                assert key in given
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        files = {value.rsplit("/", 1)[0] for key, value in given.items() if key.endswith("_FILE")}
        assert files <= mounts


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_the_secrets_it_uses_and_no_others(name: str) -> None:
    (container,) = _containers(PODS[name])
    used = {VARIABLES[field].name for field in USED_BY[container["args"][0]]}
    given = {one["name"]: one["value"] for one in container.get("env", ())}
    if container.get("envFrom"):
        given |= SETTINGS
    (volume,) = PODS[name]["spec"]["volumes"]
    assert {item["path"] for item in volume["secret"]["items"]} == {
        path.rsplit("/", 1)[1]
        for key, path in given.items()
        if key.endswith("_FILE") and key.removesuffix("_FILE") in used
    }
    assert [item["key"] for item in volume["secret"]["items"]] == _paths(volume)


def _paths(volume: Manifest) -> list[str]:
    return [item["path"] for item in volume["secret"]["items"]]


def test_the_owner_of_the_schema_migrates_and_the_service_is_somebody_else() -> None:
    (container,) = _containers(PODS["Job/payments-migrate"])
    options = parser().parse_args(container["args"])
    assert options.grant_to == "payments_service"
    (secret,) = PODS["Job/payments-migrate"]["spec"]["volumes"]
    others = [
        path
        for name, pod in PODS.items()
        if name in DEPLOYMENTS
        for path in _paths(pod["spec"]["volumes"][0])
    ]
    assert not set(_paths(secret)) & set(others)


def test_what_is_applied_first_is_all_that_the_migration_needs() -> None:
    """`kubectl apply` with this selector, and nothing else, has to be enough to run the job."""
    first = {
        name
        for name, one in OBJECTS.items()
        if one["metadata"]["labels"]["app.kubernetes.io/component"] == "migrate"
    }
    account = PODS["Job/payments-migrate"]["spec"]["serviceAccountName"]
    assert first == {"Job/payments-migrate", f"ServiceAccount/{account}"}
    (container,) = _containers(PODS["Job/payments-migrate"])
    assert "envFrom" not in container


@pytest.mark.parametrize("name", PODS)
def test_each_process_is_somebody_to_a_vault(name: str) -> None:
    account = PODS[name]["spec"]["serviceAccountName"]
    assert f"ServiceAccount/{account}" in OBJECTS
    (volume,) = PODS[name]["spec"]["volumes"]
    classes = {one["metadata"]["name"]: one for one in yaml.safe_load_all(EXTRAS[VAULT])}
    wanted = classes[account]["spec"]["parameters"]["objects"]
    named = [yaml.safe_load(one)["objectName"] for one in yaml.safe_load(wanted)["array"]]
    assert named == _paths(volume)


def test_a_changed_setting_restarts_the_pods() -> None:
    program = shutil.which("kubectl")
    if program is None:
        unavailable("kubectl is not installed: apt-get install kubernetes-client")
    done = subprocess.run(
        [program, "kustomize", str(MANIFESTS)], capture_output=True, text=True, check=True
    )
    made = list(yaml.safe_load_all(done.stdout))
    (settings,) = [one for one in made if one["kind"] == "ConfigMap"]
    assert settings["data"] == SETTINGS
    assert settings["metadata"]["name"].startswith("payments-")
    for one in made:
        if one["kind"] == "Deployment":
            (container,) = _containers(one["spec"]["template"])
            (source,) = container["envFrom"]
            assert source["configMapRef"]["name"] == settings["metadata"]["name"]


def test_the_operator_of_prometheus_finds_the_processes_under_the_name_that_alerts_want() -> None:
    monitor = yaml.safe_load(EXTRAS["pod-monitor.yaml"])["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert {"targetLabel": "job", "replacement": "payments"} in endpoint["relabelings"]
    (components,) = monitor["selector"]["matchExpressions"]
    for one in DEPLOYMENTS.values():
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        assert labels[components["key"]] in components["values"]
        (container,) = _containers(one["spec"]["template"])
        assert endpoint["port"] in [port["name"] for port in container["ports"]]


def test_no_secret_is_in_a_manifest() -> None:
    secret = {variable.name for variable in VARIABLES.values() if variable.secret}
    assert not secret & SETTINGS.keys()
    assert not any(one["kind"] == "Secret" for one in OBJECTS.values())


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_is_rolled_without_a_gap(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert deployment["spec"]["replicas"] >= 2
    (container,) = _containers(deployment["spec"]["template"])
    port = next(one["name"] for one in container["ports"] if one["containerPort"] == 8000)
    paths = {
        probe: container[f"{probe}Probe"]["httpGet"]
        for probe in ("startup", "liveness", "readiness")
    }
    assert {one["port"] for one in paths.values()} == {port}
    # A database that is away makes a pod unready; restarting it would not bring it back.
    assert paths["liveness"]["path"] == "/health/live"
    assert paths["readiness"]["path"] == "/health/ready"
    budget = OBJECTS[name.replace("Deployment", "PodDisruptionBudget")]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_that_is_told_to_stop_has_the_time_that_a_request_may_take(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert _GRACE > DEADLINE, "a request that is broken off takes a little longer still"
    assert pod["terminationGracePeriodSeconds"] > pause + _GRACE


def test_workers_are_scaled_by_the_age_of_the_queue_as_prometheus_knows_it() -> None:
    scaler = OBJECTS["HorizontalPodAutoscaler/payments-worker"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "payments-worker"
    wanted = {metric["external"]["metric"]["name"] for metric in scaler["metrics"]}
    rules = yaml.safe_load(EXTRAS["prometheus-adapter-values.yaml"])["rules"]["external"]
    assert wanted == {rule["seriesQuery"] for rule in rules}
    for rule in rules:
        assert rule["metricsQuery"].startswith("max")
    assert "payments_inbox_oldest_age_seconds" in wanted
