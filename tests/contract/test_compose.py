"""`docker-compose.yml`, the image and Prometheus' targets say the same as the code.

No engine is needed. `make test` installs `docker-compose`; where it may not, what only it can judge is
reported as not run.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from deploy.commands.sandbox import sandbox
from deploy.stack.images import IMAGES
from shared.settings.settings import SECRETS, Settings
from tests.support.checkers import checker
from tests.support.connect_page import commands
from workers.registry import METRICS_PORTS, WORKER_NAMES

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = sorted(WORKER_NAMES)
OURS = [name for name, service in SERVICES.items() if "build" in service]
SETTING_NAMES = {field.upper() for field in Settings.model_fields} | {f"{name}_FILE" for name in SECRETS}
MOUNTED = "/run/secrets/"
DEFINITIONS = "rabbitmq_definitions.json"
#: Passwords of those who connect from outside: no service reads these files.
HANDED_OUT = {"gateway_password", "agents_password"}


@pytest.fixture(scope="module")
def secrets() -> Iterator[Path]:
    """What `deploy/secrets.sh` writes."""
    with TemporaryDirectory() as folder:
        written = Path(folder) / "secrets"
        subprocess.run(["sh", "deploy/secrets.sh", written], check=True, cwd=ROOT, capture_output=True)
        yield written


def interpolate(value: str) -> str:
    """A compose value as it is when nothing is set outside."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def environment_of(name: str) -> dict[str, str]:
    """The environment of a service when nothing is set outside."""
    return {key: interpolate(value) for key, value in SERVICES[name]["environment"].items()}


def settings_of(name: str, secrets: Path) -> Settings:
    """The settings of a service of ours, its secrets read from files that are mounted into it."""
    environment = environment_of(name)
    for key, value in environment.items():
        if value.startswith(MOUNTED):
            secret = value.removeprefix(MOUNTED)
            assert secret in SERVICES[name]["secrets"], key
            environment[key] = str(secrets / secret)
    return Settings.from_env(environment)


def definitions(secrets: Path) -> dict[str, Any]:
    """What the broker is told at its start."""
    told: dict[str, Any] = json.loads((secrets / DEFINITIONS).read_text())
    return told


def complaints_of(*command: str) -> str:
    """What a checker says against a file; a checker that is not installed is told as not run.

    One that is written in Go has memory to spare: it looks for what it may free a third as often.
    """
    done = subprocess.run(
        [checker(command[0]), *command[1:]],
        check=False,
        cwd=ROOT,
        env=os.environ | {"GOGC": "400"},
        capture_output=True,
        text=True,
    )
    return "" if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout}{done.stderr}"


def test_every_worker_has_a_service_and_no_other_worker_does() -> None:
    commands = {name: service["command"] for name, service in SERVICES.items() if "command" in service}
    assert sorted(name for name, command in commands.items() if command[0] == "worker") == WORKERS
    assert all(commands[name] == ["worker", name] for name in WORKERS)


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_only_settings_that_exist_and_hold(name: str, secrets: Path) -> None:
    assert set(environment_of(name)) <= SETTING_NAMES
    settings = settings_of(name, secrets)

    assert settings.metrics_host == "0.0.0.0", "Prometheus scrapes from another container"


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_can_be_scaled_drained_and_restarted(name: str, secrets: Path) -> None:
    service = SERVICES[name]
    assert "container_name" not in service
    assert "ports" not in service
    assert service["restart"] == "unless-stopped"
    drain_s = settings_of(name, secrets).drain_seconds

    assert int(service["stop_grace_period"].removesuffix("s")) > drain_s
    assert service["depends_on"]["roles"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_health_is_asked_where_it_answers(name: str) -> None:
    asked = SERVICES[name]["healthcheck"]["test"][-1]
    assert asked == f"http://127.0.0.1:{METRICS_PORTS[name]}/health/ready"


def test_every_service_that_stays_has_a_health_check() -> None:
    passing = [name for name, service in SERVICES.items() if "healthcheck" not in service]
    assert passing == ["migrate", "roles"]
    assert all(SERVICES[name]["restart"] == "no" for name in passing)


def test_migrations_wait_for_servers_that_answer() -> None:
    conditions = {name: entry["condition"] for name, entry in SERVICES["migrate"]["depends_on"].items()}
    assert conditions == dict.fromkeys(["rabbitmq", "postgres", "redis"], "service_healthy")


def test_only_migrations_hold_the_login_that_may_change_the_schema(secrets: Path) -> None:
    for name in OURS:
        settings = settings_of(name, secrets)
        worker, migrator = settings.database_url, settings.migration_database_url
        assert "//wabus_app:" in worker.get_secret_value()
        assert ("//postgres:" in migrator.get_secret_value()) == (name == "migrate")


def test_the_workers_login_is_made_after_the_schema_of_files_that_are_there() -> None:
    roles = SERVICES["roles"]
    assert roles["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    mounted = dict(volume.removesuffix(":ro").split(":") for volume in roles["volumes"])

    assert all((ROOT / source).is_file() for source in mounted)
    assert [word for word in roles["command"] if word.endswith(".sql")] == list(mounted.values())


def test_passwords_are_in_files_that_are_written_once_and_mounted_where_they_are_read(secrets: Path) -> None:
    files = {name: entry["file"] for name, entry in COMPOSE["secrets"].items()}
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    again = subprocess.run(
        ["sh", "deploy/secrets.sh", secrets], check=True, cwd=ROOT, capture_output=True, text=True
    )

    assert files == {name: f"./.secrets/{name}" for name in before.keys() - HANDED_OUT}
    assert "stays as it is" in again.stdout
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o777 == 0o700
    for name, service in SERVICES.items():
        words = [*service.get("entrypoint", []), *service.get("environment", {}).values()]
        read = set(re.findall(rf"{MOUNTED}([\w.]+)", " ".join(words)))
        assert set(service.get("secrets", [])) - {DEFINITIONS} == read, name


def test_both_ends_of_a_connection_hold_the_same_password(secrets: Path) -> None:
    passwords = {user["name"]: user["password"] for user in definitions(secrets)["users"]}
    urls = {name: (secrets / name).read_text() for name in ("RABBITMQ_URL", "DATABASE_URL")}

    assert f"//wabus:{passwords['wabus']}@" in urls["RABBITMQ_URL"]
    assert f"//wabus_app:{(secrets / 'worker_password').read_text()}@" in urls["DATABASE_URL"]
    migrating = (secrets / "MIGRATION_DATABASE_URL").read_text()
    assert f"//postgres:{(secrets / 'postgres_password').read_text()}@" in migrating
    for user in ("gateway", "agents"):
        assert passwords[user] == (secrets / f"{user}_password").read_text()
    assert len({*passwords.values()}) == 3
    assert all(len(password) == 48 for password in passwords.values())


def test_images_are_pinned_by_minor_and_the_same_as_the_stacks() -> None:
    foreign = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    base_images = re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    for image in [*foreign.values(), *base_images]:
        assert re.search(r":v?\d+\.\d+", image), image

    assert {kind.value: foreign[kind.value] for kind in IMAGES} == {k.value: v for k, v in IMAGES.items()}


def test_no_service_fills_the_disk_with_logs_or_takes_all_memory() -> None:
    for name, service in SERVICES.items():
        assert service["logging"]["driver"] == "json-file", name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name


def test_the_brokers_users_are_those_of_the_page_with_the_permissions_that_it_names(secrets: Path) -> None:
    told = definitions(secrets)
    permissions = {entry.pop("user"): entry for entry in told["permissions"]}
    page = [shlex.split(line)[2:] for line in commands("rabbitmqctl") if " set_permissions " in line]

    assert {user["name"]: user["tags"] for user in told["users"]} == {
        "wabus": ["administrator"],
        "gateway": [],
        "agents": [],
    }
    assert permissions.pop("wabus") == {"vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    assert permissions == {
        user: {"vhost": host, "configure": configure, "write": write, "read": read}
        for _, host, user, configure, write, read in page
    }


def test_the_broker_reads_its_users_from_the_file_that_is_mounted() -> None:
    broker = SERVICES["rabbitmq"]
    [source] = [volume.split(":")[0] for volume in broker["volumes"] if "conf.d" in volume]

    assert broker["secrets"] == [DEFINITIONS]
    assert f"load_definitions = {MOUNTED}{DEFINITIONS}\n" in (ROOT / source).read_text()


def test_published_ports_are_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_sandbox_is_started_with_options_it_has() -> None:
    context = sandbox.make_context("sandbox", SERVICES["sandbox"]["command"][1:])
    assert context.params["statuses"] == "amqp"
    url = environment_of("outbound-sender")["WHATSAPP_API_URL"]

    assert url == f"http://sandbox:{context.params['port']}"


def test_the_image_runs_as_a_user_and_installs_by_hash() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.search(r"^USER (?!0|root)\S+$", text, re.MULTILINE)
    assert "--require-hashes -r /requirements.lock" in text
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set(re.findall(r"^COPY (\w[\w.]*) ", text, re.MULTILINE))

    assert copied == kept


def test_prometheus_scrapes_every_worker_on_its_port() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    scraped = {entry["names"][0]: entry["port"] for entry in jobs["wabus"]["dns_sd_configs"]}

    assert scraped == {name: METRICS_PORTS[name] for name in WORKERS}


def test_docker_compose_accepts_the_file() -> None:
    assert complaints_of("docker-compose", "-f", "docker-compose.yml", "config", "--quiet") == ""


def test_prometheus_sends_its_alerts_to_an_alertmanager_that_finds_its_file() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    [manager] = config["alerting"]["alertmanagers"]
    [target] = manager["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    service = SERVICES[name]
    [option] = [word for word in service["command"] if word.startswith("--config.file=")]

    assert f":{port}" in interpolate(service["ports"][0])
    assert "./deploy/prometheus:/etc/prometheus:ro" in service["volumes"]
    assert (PROMETHEUS / option.removeprefix("--config.file=/etc/prometheus/")).is_file()
