"""The configuration of a local Prometheus: jobs and rules of the shipped one, places of what runs here."""

from pathlib import Path
from typing import Any

import yaml

from deploy.commands.watching import describe_watching
from deploy.demo.state import write_state
from deploy.demo.watching import DASHBOARDS, config_of, write_config
from deploy.stack import Kind, ServerRecord, Source, StackState
from tests.contract.test_compose import PROMETHEUS, complaints_of
from workers.registry import METRICS_PORTS, WORKER_NAMES

RABBITMQ = ServerRecord(
    Kind.RABBITMQ,
    Source.NATIVE,
    "amqp://wabus:hush@127.0.0.1:1/",
    "http://wabus:hush@127.0.0.1:2",
    metrics="127.0.0.1:3",
)
SHIPPED: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())


def write(root: Path, *servers: ServerRecord) -> dict[str, Any]:
    """The configuration beside these servers, and workers on their usual ports."""
    state = StackState(root, password="hush")
    for server in servers:
        state.record(server)
    urls = {name: f"http://127.0.0.1:{METRICS_PORTS[name]}" for name in WORKER_NAMES}
    write_state(root, {}, urls | {"sandbox": "http://127.0.0.1:4"})
    write_config(root)
    config: dict[str, Any] = yaml.safe_load(config_of(root).read_text())
    return config


def test_it_has_the_jobs_and_the_rules_of_the_shipped_one(tmp_path: Path) -> None:
    config = write(tmp_path, RABBITMQ)
    where = {"static_configs", "dns_sd_configs", "relabel_configs"}
    jobs, shipped = (
        [{key: value for key, value in job.items() if key not in where} for job in scraping["scrape_configs"]]
        for scraping in (config, SHIPPED)
    )

    assert jobs == shipped
    assert config["rule_files"] == [str(PROMETHEUS / name) for name in SHIPPED["rule_files"]]


def test_it_names_every_worker_and_rabbitmq_where_they_are(tmp_path: Path) -> None:
    wabus, rabbitmq, queues = write(tmp_path, RABBITMQ)["scrape_configs"]

    assert wabus["static_configs"] == [
        {"targets": [f"127.0.0.1:{METRICS_PORTS[name]}"], "labels": {"service": name}}
        for name in WORKER_NAMES
    ]
    assert rabbitmq["static_configs"] == queues["static_configs"] == [{"targets": ["127.0.0.1:3"]}]
    assert "hush" not in config_of(tmp_path).read_text()


def test_a_rabbitmq_whose_metrics_are_nowhere_and_workers_that_do_not_run_are_left_out(
    tmp_path: Path,
) -> None:
    StackState(tmp_path, password="").record(ServerRecord(Kind.RABBITMQ, Source.ENVIRONMENT, "amqp://named/"))
    write_config(tmp_path)
    config = yaml.safe_load(config_of(tmp_path).read_text())

    assert [job["static_configs"] for job in config["scrape_configs"]] == [[], [], []]


def test_promtool_accepts_it_wherever_the_checkout_is(tmp_path: Path) -> None:
    root = tmp_path / "a check: out"
    root.mkdir()
    write(root, RABBITMQ)

    assert complaints_of("promtool", "check", "config", str(config_of(root))) == ""


def test_people_are_told_rabbitmqs_page_prometheus_and_the_dashboards(tmp_path: Path) -> None:
    write(tmp_path, RABBITMQ)
    told = "\n".join(describe_watching(tmp_path))

    assert "http://127.0.0.1:2, login wabus, password hush" in told
    assert f"prometheus --config.file={config_of(tmp_path)} " in told
    assert "deploy/grafana/dashboards" in told
    assert list(DASHBOARDS.glob("*.json"))


def test_the_password_of_a_server_that_is_somebody_elses_is_not_shown(tmp_path: Path) -> None:
    theirs = ServerRecord(
        Kind.RABBITMQ, Source.ENVIRONMENT, "amqp://named/", "http://ana:theirs@broker:15672"
    )
    write(tmp_path, theirs)
    told = "\n".join(describe_watching(tmp_path))

    assert "http://broker:15672" in told
    assert "theirs" not in told
