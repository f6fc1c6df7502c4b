"""A Prometheus of one test's own: with a configuration as it is, or with the shipped one hastened.

Then places are a test's. Durations are a tenth of what is shipped: how often rules are evaluated, how long an
alert must hold, how far a rule looks back. Scrapes are a fifth: a worker that a busy machine keeps waiting
must not pass for unreachable. Thresholds are as shipped, those in seconds, too.
"""

import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import yaml

from tests.support.checkers import checker
from tests.support.http import get
from tests.support.waiting import until

#: By how much all but scrapes is faster; how often is scraped, and how long a scrape may take.
SCALE: Final = 10
_SCRAPE: Final = "2s"
_SHIPPED: Final = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
#: Labels that tell alerts of one name apart.
_TELLING: Final = ("dependency", "phone_number_id", "queue", "service")


class PrometheusServer:
    """Its alerts are told by their names and what they are about, such as `DependencyDown redis`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def is_ready(self) -> bool:
        """Whether every target has been scraped."""
        try:
            status, answer = await get(self._url, "/api/v1/targets?state=active")
        except OSError:
            return False
        if status != HTTPStatus.OK:
            return False
        targets = answer["data"]["activeTargets"]
        return bool(targets) and all(target["health"] == "up" for target in targets)

    async def firing(self) -> set[str]:
        """The alerts that fire now."""
        _, answer = await get(self._url, "/api/v1/alerts")
        return {_name(alert["labels"]) for alert in answer["data"]["alerts"] if alert["state"] == "firing"}

    async def fired(self, since_s: float) -> set[str]:
        """The alerts that fired in the last so many seconds."""
        found = await self.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{since_s * 1000:.0f}ms])')
        return {_name(item["metric"]) for item in found}

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """What an expression gives now: labels and value of each series."""
        status, answer = await get(self._url, f"/api/v1/query?{urlencode({'query': expr})}")
        assert status == HTTPStatus.OK, answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def query_range(self, expr: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        """What it gave from `start` to `end`, epoch seconds: labels and values of each series."""
        asked = {"query": expr, "start": start, "end": end, "step": step_s}
        status, answer = await get(self._url, f"/api/v1/query_range?{urlencode(asked)}")
        assert status == HTTPStatus.OK, answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def until_holds(self, condition: str) -> None:
        """Wait until an expression that compares gives something."""

        async def holds() -> bool:
            return bool(await self.query(condition))

        await until(holds)

    async def until_firing(self, *alerts: str) -> None:
        """Wait until these fire, and no other."""

        async def is_so() -> bool:
            return await self.firing() == set(alerts)

        await until(is_so)


@contextmanager
def running_prometheus(
    folder: Path, workers: Mapping[str, str], rabbitmq: str, rule_files: Sequence[str]
) -> Iterator[PrometheusServer]:
    """One that scrapes these addresses: of each worker by its name, and of RabbitMQ's plugin."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configure(workers, rabbitmq, rule_files)))
    for name in rule_files:
        (folder / name).write_text(yaml.safe_dump(_hasten((_SHIPPED / name).read_text())))
    with prometheus_with(folder / "prometheus.yml", folder) as server:
        yield server


@contextmanager
def prometheus_with(config: Path, folder: Path) -> Iterator[PrometheusServer]:
    """One with this configuration as it is; its data and its log are in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = {
        "config.file": config,
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
    }
    command = [str(checker("prometheus")), *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield PrometheusServer(f"http://{address}")
    finally:
        process.terminate()
        process.wait()


def _configure(workers: Mapping[str, str], rabbitmq: str, rule_files: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((_SHIPPED / "prometheus.yml").read_text())
    del config["alerting"]
    config["rule_files"] = list(rule_files)
    evaluation = _faster(config["global"]["evaluation_interval"])
    config["global"] = {
        "scrape_interval": _SCRAPE,
        "scrape_timeout": _SCRAPE,
        "evaluation_interval": evaluation,
    }
    wabus, *brokers = config["scrape_configs"]
    del wabus["dns_sd_configs"], wabus["relabel_configs"]
    wabus["static_configs"] = [
        {"targets": [address], "labels": {"service": name}} for name, address in workers.items()
    ]
    for job in brokers:
        job["static_configs"] = [{"targets": [rabbitmq]}]
    return config


def _hasten(rules: str) -> dict[str, Any]:
    hastened: dict[str, Any] = yaml.safe_load(rules)
    for group in hastened["groups"]:
        if "interval" in group:
            group["interval"] = _faster(group["interval"])
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\w+)\]", lambda match: f"[{_faster(match[1])}]", rule["expr"])
            if "for" in rule:
                rule["for"] = _faster(rule["for"])
    return hastened


def _faster(duration: str) -> str:
    return f"{int(duration[:-1]) * _UNITS_MS[duration[-1]] // SCALE}ms"


def _name(labels: Mapping[str, str]) -> str:
    return " ".join([labels["alertname"], *(labels[name] for name in _TELLING if name in labels)])
