"""The alerts, their runbook and the objectives say the same as the code, and fire when they should.

`promtool` judges the rules over series that were written down or recorded. Where it is not installed, what
only it can judge is reported as not run.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from tests.contract.test_compose import PROMETHEUS, ROOT, SERVICES, complaints_of
from tests.support.promql import RULE_FILES, VALUES, find_impossible, find_unknown, known_labels, selectors
from workers.__main__ import cli

RUNBOOK: Final = ROOT / "deploy" / "runbook.md"
TESTS: Final = sorted(path.relative_to(ROOT) for path in (ROOT / "tests/contract/alerts").glob("*.yml"))
#: The parts of a section, in their order.
PARTS: Final = ("Means", "Felt", "Do", "Over")
_STRING: Final = re.compile(r'"((?:\\.|[^"\\])*)"')


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert, or a recorded expression."""

    name: str
    expr: str
    severity: str | None
    summary: str
    runbook_url: str

    @property
    def is_alert(self) -> bool:
        return ":" not in self.name


def read_rules() -> Iterator[Rule]:
    for file in RULE_FILES:
        for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]:
            for rule in group["rules"]:
                yield _rule(rule)


def _rule(rule: Mapping[str, Any]) -> Rule:
    told, labels = rule.get("annotations", {}), rule.get("labels", {})
    return Rule(
        rule.get("alert") or rule["record"],
        rule["expr"],
        labels.get("severity"),
        told.get("summary", ""),
        told.get("runbook_url", ""),
    )


RULES: Final = list(read_rules())
ALERTS: Final = [rule for rule in RULES if rule.is_alert]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_only_metrics_and_labels_that_exist(rule: Rule) -> None:
    assert find_unknown(rule.expr) == set()
    assert list(selectors(rule.expr)) or rule.expr.startswith("vector(")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_asks_only_for_values_that_a_label_can_have(rule: Rule) -> None:
    assert find_impossible(rule.expr) == set()


def test_every_queue_of_a_worker_is_watched() -> None:
    [rule] = [rule for rule in ALERTS if rule.name == "QueueWithoutConsumer"]
    [pattern] = [
        value.replace("\\\\", "\\")
        for _, matchers in selectors(rule.expr)
        for label, _, value in matchers
        if label == "queue"
    ]

    assert [queue for queue in VALUES["queue"] if not re.fullmatch(pattern, queue)] == []
    assert not re.fullmatch(pattern, "outbound-sender.retry.5s")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_an_alert_says_how_urgent_it_is_what_is_wrong_and_where_to_read_on(rule: Rule) -> None:
    assert rule.severity in ("page", "ticket")
    assert rule.runbook_url == f"deploy/runbook.md#{rule.name.lower()}"
    plain = re.sub(r"\{\{.*?\}\}|`[^`]*`|\"", "", rule.summary)
    assert "_" not in plain, "a stranger understands it"

    assert set(re.findall(r"\$labels\.(\w+)", rule.summary)) <= known_labels(rule.expr)


def sections() -> dict[str, str]:
    """The runbook's sections by their titles."""
    _, *parts = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def test_each_alert_has_its_section_and_each_section_its_alert_in_the_same_order() -> None:
    assert list(sections()) == [rule.name for rule in ALERTS]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_a_section_says_what_it_means_what_is_felt_what_to_do_and_when_it_is_over(rule: Rule) -> None:
    text = sections()[rule.name]

    assert rule.severity is not None
    assert text.strip().startswith(f"{rule.severity.capitalize()}. **Means:**")
    assert re.findall(r"\*\*(\w+):\*\*", text) == list(PARTS)
    commands = text.partition("**Do:**")[2].partition("**Over:**")[0]

    assert "```\n" in commands or "`wabus " in commands


def commands_of(program: str) -> list[str]:
    """Every command of the runbook that begins with a program, from blocks and sentences."""
    text = RUNBOOK.read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return sorted({line for line in [*lines, *inline] if line.startswith(f"{program} ")})


@pytest.mark.parametrize("line", commands_of("wabus"))
def test_a_command_of_the_runbook_exists_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    if words and isinstance(command, click.Group):
        assert set(words) <= {option for param in command.params for option in param.opts}
    else:
        command.make_context(command.name, words)


@pytest.mark.parametrize("line", commands_of("docker compose"))
def test_a_service_that_the_runbook_names_is_one_of_compose(line: str) -> None:
    verb, *words = shlex.split(line)[2:]
    named = [word.partition("=")[0] for word in words if re.fullmatch(r"[a-z][a-z-]*(=\d)?", word)]

    assert verb in ("exec", "logs", "ps", "restart", "stats", "up")
    assert set(named[:1] if verb == "exec" else named) <= set(SERVICES)


def test_alertmanager_knows_every_severity_and_silences_only_alerts_that_exist() -> None:
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    names = {rule.name for rule in ALERTS}
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routes = [config["route"], *config["route"]["routes"]]
    matchers = [matcher for rule in config["inhibit_rules"] for part in rule.values() for matcher in part]

    assert {route["receiver"] for route in routes} == receivers
    assert [route.get("matchers") for route in routes] == [None, ['severity="page"']]
    for matcher in matchers:
        label, value = matcher.split("=~")
        known = names if label == "alertname" else {"inbound", "outbound", "statuses", "delivered", "sends"}
        assert set(value.strip('"').split("|")) <= known


def test_promtool_accepts_the_configuration() -> None:
    assert complaints_of("promtool", "check", "config", str(PROMETHEUS / "prometheus.yml")) == ""


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    assert complaints_of("promtool", "test", "rules", str(path)) == ""


def test_each_alert_is_seen_firing() -> None:
    seen = "".join((ROOT / path).read_text() for path in TESTS)

    assert [rule.name for rule in ALERTS if f'alertname="{rule.name}"' not in seen] == []
