"""`deploy/kubernetes` against the schemas of what reads it, the registry, the settings and the image.

The schemas of Kubernetes, KEDA and the Prometheus operator come with packages; of a trigger's metadata, which
KEDA's schema leaves open, the keys that we use are listed here. Where `kubectl` is installed, kustomize must
make of each folder what these tests read.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from shared.amqp.topology import LANES
from shared.observability.metrics import Metrics
from shared.settings.settings import SECRETS, Settings
from tests.contract.test_compose import ROOT, complaints_of
from tests.support.kustomization import Manifest, read_manifests
from workers.registry import METRICS_PORTS, PROGRAMS, WORKER_NAMES

FOLDER: Final = ROOT / "deploy" / "kubernetes"
FOLDERS: Final = ("base", "keda", "monitoring", "example")
#: Of everything, as an installation has it.
MANIFESTS: Final = read_manifests(FOLDER / "example")
#: The oldest that has what we use, and the newest that the package knows.
VERSIONS: Final = ("1.27", "1.37")
#: Where the schemas stand of what Kubernetes itself does not know. Loading takes seconds.
CUSTOM: Final = {
    "ScaledObject": "cloudcoil.models.keda.v1alpha1",
    "TriggerAuthentication": "cloudcoil.models.keda.v1alpha1",
    "PodMonitor": "cloudcoil.models.prometheus_operator.v1",
}
#: The metadata of KEDA's triggers, all of them texts.
TRIGGERS: Final = {
    "rabbitmq": {"protocol", "queueName", "mode", "value"},
    "prometheus": {"serverAddress", "query", "threshold"},
}
KNOWN: Final = {*Settings.variables(), *(f"{name}_FILE" for name in SECRETS), "WHATSAPP_NUMBERS_FILE"}
#: A value of each secret.
SECRET_VALUES: Final = {
    "RABBITMQ_URL": "amqp://wabus:wabus@rabbitmq/",
    "DATABASE_URL": "postgresql://wabus_app:wabus@postgres/wabus",
    "MIGRATION_DATABASE_URL": "postgresql://postgres@postgres/wabus",
    "REDIS_URL": "redis://redis/0",
    "WHATSAPP_ACCESS_TOKEN": "token",
}


def of_kind(kind: str) -> dict[str, Manifest]:
    """Manifests by name."""
    return {it["metadata"]["name"]: it for it in MANIFESTS if it["kind"] == kind}


DEPLOYMENTS: Final = of_kind("Deployment")
SCALED: Final = of_kind("ScaledObject")
PODS: Final[dict[str, Manifest]] = {
    name: it["spec"]["template"] for name, it in (DEPLOYMENTS | of_kind("Job")).items()
}


def containers(pod: Manifest) -> list[Manifest]:
    """What runs in a pod, in its order."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: Manifest) -> dict[str, str]:
    """Its variables."""
    maps = [of_kind("ConfigMap")[source["configMapRef"]["name"]]["data"] for source in container["envFrom"]]
    own = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    return {name: value for data in maps for name, value in data.items()} | own


def mounted(pod: Manifest, container: Manifest) -> dict[str, str]:
    """The secret behind each folder of a container."""
    secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["spec"]["volumes"]}
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    return {mount["mountPath"]: secrets[mount["name"]] for mount in container["volumeMounts"]}


def triggers() -> Iterator[tuple[str, Manifest]]:
    """Every trigger, with the worker that it scales."""
    for name, scaled in SCALED.items():
        for trigger in scaled["spec"]["triggers"]:
            yield name, trigger


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_manifest_that_is_not_an_operators(version: str) -> None:
    own = [it for it in MANIFESTS if it["kind"] not in CUSTOM]
    assert own

    for manifest in own:
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_keda_and_the_prometheus_operator_know_theirs() -> None:
    theirs = [it for it in MANIFESTS if it["kind"] in CUSTOM]
    assert {it["kind"] for it in theirs} == set(CUSTOM)

    for manifest in theirs:
        schema = getattr(import_module(CUSTOM[manifest["kind"]]), manifest["kind"])
        assert schema.model_validate(manifest, extra="forbid")


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_makes_the_same_of_a_folder(folder: str, tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    assert complaints_of("kubectl", "kustomize", str(FOLDER / folder), "--output", str(made)) == ""

    text = re.sub(r"wabus-settings-\w+", "wabus-settings", made.read_text())
    text = re.sub(r"^ +namespace: wabus\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"image: wabus:\S+", "image: wabus", text)

    def order(manifest: Manifest) -> tuple[str, str]:
        return manifest["kind"], manifest["metadata"]["name"]

    made_by_kustomize = sorted(yaml.safe_load_all(text), key=order)
    assert made_by_kustomize == sorted(read_manifests(FOLDER / folder), key=order)


def test_every_worker_is_deployed_under_its_name_and_on_its_port() -> None:
    assert sorted(DEPLOYMENTS) == sorted(WORKER_NAMES)

    for name in DEPLOYMENTS:
        [container] = containers(PODS[name])
        assert container["args"] == ["worker", name]
        assert container["ports"] == [{"name": "metrics", "containerPort": METRICS_PORTS[name]}]


def test_a_worker_is_asked_for_its_health_on_its_port() -> None:
    paths = {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    for name, (probe, path) in product(DEPLOYMENTS, paths.items()):
        [container] = containers(PODS[name])
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "metrics"}


def test_names_and_selectors_fit_their_pods() -> None:
    budgets = of_kind("PodDisruptionBudget")
    assert sorted(budgets) == sorted(DEPLOYMENTS)

    for name, pod in PODS.items():
        assert pod["metadata"]["labels"] == {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/part-of": "wabus",
        }
    for name, owner in (DEPLOYMENTS | budgets).items():
        assert owner["spec"]["selector"]["matchLabels"] == PODS[name]["metadata"]["labels"]
    for name in budgets:
        assert DEPLOYMENTS[name]["spec"]["selector"] == budgets[name]["spec"]["selector"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_right_that_it_does_not_need(name: str) -> None:
    pod = PODS[name]["spec"]
    user = int(re.findall(r"^USER (\d+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)[0])

    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in containers(PODS[name]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}, "a limit of CPU stalls the event loop"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_sets_only_settings_that_exist_and_hold(name: str, tmp_path: Path) -> None:
    for container in containers(PODS[name]):
        told = environment(container)
        assert set(told) <= KNOWN
        assert not set(told) & SECRETS, "a secret comes by a file"
        secrets = mounted(PODS[name], container)
        for variable, path in told.items():
            if variable.endswith("_FILE"):
                assert str(Path(path).parent) in secrets
                key = Path(path).name
                assert f"{key}_FILE" == variable
                told[variable] = str(tmp_path / key)
                (tmp_path / key).write_text(SECRET_VALUES[key])

        settings = Settings.from_env(told)

        assert settings.metrics_host == "0.0.0.0", "probes and Prometheus come from outside"
        if name in DEPLOYMENTS:
            assert PODS[name]["spec"]["terminationGracePeriodSeconds"] > settings.drain_seconds


def test_a_secret_is_mounted_only_where_it_is_needed() -> None:
    holders: dict[str, set[str]] = {}
    for name, pod in PODS.items():
        for container in containers(pod):
            for secret in mounted(pod, container).values():
                holders.setdefault(secret, set()).add(f"{name}/{container['name']}")

    everyone = {f"{name}/{container['name']}" for name, pod in PODS.items() for container in containers(pod)}
    assert holders == {
        "wabus-servers": everyone,
        "wabus-whatsapp": {"outbound-sender/worker"},
        "wabus-migration": {"migration/schema"},
    }


def test_the_schema_comes_before_the_queues() -> None:
    assert [container["args"] for container in containers(PODS["migration"])] == [
        ["migrate"],
        ["topology", "declare"],
    ]


def test_only_the_sender_reaches_the_internet() -> None:
    policies = of_kind("NetworkPolicy")
    everyone, sender = policies["wabus"]["spec"], policies["cloud-api"]["spec"]
    assert everyone["podSelector"]["matchLabels"] == {"app.kubernetes.io/part-of": "wabus"}
    assert everyone["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for rule in everyone["ingress"] for port in rule["ports"]] == ["metrics"]
    allowed = {port["port"] for rule in everyone["egress"] for port in rule["ports"]}

    assert {5432, 5671, 5672, 6379} <= allowed
    assert not allowed & {80, 443}
    assert sender["podSelector"]["matchLabels"] == PODS["outbound-sender"]["metadata"]["labels"]
    assert [port["port"] for rule in sender["egress"] for port in rule["ports"]] == [443]


def test_every_queue_scales_its_worker_and_what_scales_has_no_fixed_number() -> None:
    scaled = {
        (name, trigger["metadata"]["queueName"])
        for name, trigger in triggers()
        if trigger["type"] == "rabbitmq"
    }
    assert scaled == {(program.name, queue) for program in PROGRAMS for queue in program.queues}

    fixed = {name for name, it in DEPLOYMENTS.items() if "replicas" in it["spec"]}
    assert fixed == set(DEPLOYMENTS) - set(SCALED)
    for name, it in SCALED.items():
        assert it["spec"]["scaleTargetRef"] == {"name": name}
        assert 2 <= it["spec"]["minReplicaCount"] < it["spec"]["maxReplicaCount"]


def test_a_trigger_says_what_keda_asks_of_it() -> None:
    for _, trigger in triggers():
        metadata = trigger["metadata"]
        assert set(metadata) == TRIGGERS[trigger["type"]]
        assert all(isinstance(value, str) for value in metadata.values())
        if trigger["type"] == "rabbitmq":
            assert (metadata["protocol"], metadata["mode"]) == ("amqp", "QueueLength")
            assert trigger["authenticationRef"]["name"] in of_kind("TriggerAuthentication")
            assert float(metadata["value"]) > 0
        else:
            assert trigger["metricType"] == "Value", "an age is not shared out among replicas"
            assert float(metadata["threshold"]) > 0


def age_queries() -> dict[str, str]:
    """The query for the age of each worker's messages."""
    return {name: it["metadata"]["query"] for name, it in triggers() if it["type"] == "prometheus"}


def test_an_age_is_asked_of_a_metric_and_labels_that_exist() -> None:
    wait = Metrics().queue_wait
    [metric] = wait.collect()

    for name, query in age_queries().items():
        assert re.findall(r"wabus_\w+", query) == [f"{metric.name}_bucket"]
        labels = dict(re.findall(r'(\w+)="([^"]*)"', query))
        assert labels.pop("worker") == name
        assert not labels or labels["lane"] in LANES.values()


@pytest.mark.parametrize("name", age_queries())
def test_an_age_is_that_of_arrivals_and_nothing_where_none_arrive(name: str, tmp_path: Path) -> None:
    rules = {"groups": [{"name": "age", "rules": [{"record": "age", "expr": age_queries()[name]}]}]}
    series = f'wabus_queue_wait_seconds_bucket{{worker="{name}",lane="reply",le="%s"}}'
    arrivals = [
        (le, steps)
        for le, steps in (("5", "0+0x10 0+0x10"), ("10", "0+60x10 600+0x10"), ("+Inf", "0+60x10 600+0x10"))
    ]
    test = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series % le, "values": values} for le, values in arrivals],
                "promql_expr_test": [
                    {"expr": "age", "eval_time": at, "exp_samples": [{"labels": "age", "value": value}]}
                    for at, value in (("8m", 9.75), ("18m", 0))
                ],
            }
        ],
    }
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))

    assert complaints_of("promtool", "test", "rules", str(tmp_path / "test.yml")) == ""


def test_prometheus_gives_each_pod_the_labels_that_alerts_ask_for() -> None:
    [endpoint] = of_kind("PodMonitor")["wabus"]["spec"]["podMetricsEndpoints"]
    given: dict[str, Any] = {rule["targetLabel"]: rule for rule in endpoint["relabelings"]}

    assert endpoint["port"] == "metrics"
    assert given["job"]["replacement"] == "wabus"
    assert given["service"]["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
