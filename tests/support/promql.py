"""What an expression of Prometheus names, held against what there is: metrics, labels, values of labels."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

from shared.amqp.topology import DLQ_HANDLER, LANES, WORK_QUEUES
from shared.messaging.messages.graph_errors import ErrorClass
from shared.observability.metrics import Metrics
from tests.unit.test_metrics import PROMISED, fill
from workers.registry import WORKER_NAMES
from workers.scheduler.lost import LOST

PROMETHEUS: Final = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULE_FILES: Final = ("alerts.yml", "slo.yml")
#: Metrics of Prometheus, of the Python client and of RabbitMQ's plugin (3.10 and 4.2), with their labels.
FOREIGN: Final[Mapping[str, set[str]]] = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate"},
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "asyncio_tasks": set(),
    "rabbitmq_detailed_queue_consumers": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages_unacked": {"vhost", "queue"},
    "rabbitmq_alarms_memory_used_watermark": set(),
    "rabbitmq_alarms_free_disk_space_watermark": set(),
    "rabbitmq_process_resident_memory_bytes": set(),
    "rabbitmq_resident_memory_limit_bytes": set(),
    "rabbitmq_disk_space_available_bytes": set(),
    "rabbitmq_disk_space_available_limit_bytes": set(),
    "rabbitmq_connections": set(),
}
#: What Prometheus adds to all that it scrapes (prometheus.yml). A label of ours of the same name it calls
#: `exported_` and the name.
SCRAPED: Final = {"job", "instance", "service"}
#: Every value that a label of ours may have in an expression.
VALUES: Final[Mapping[str, set[str]]] = {
    "dependency": {"database", "redis", "rabbitmq", "cloud_api"},
    "worker": set(WORKER_NAMES),
    "error_class": {*ErrorClass, "none"},
    "reason": {LOST},
    "lane": set(LANES.values()),
    "queue": {*WORK_QUEUES, DLQ_HANDLER},
}
_STRING: Final = re.compile(r'"((?:\\.|[^"\\])*)"')
_SELECTOR: Final = re.compile(r"\b([a-zA-Z_][\w:]*)\b(?!\s*\()(\{[^}]*\})?")
_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"((?:\\.|[^"\\])*)"')
_GROUPING: Final = re.compile(r"\b(?:by|on|group_left)\s*\(([^)]*)\)")
_RANGE: Final = re.compile(r"\[[^]]*\]")
#: Words that stand between operands, and no metrics; an aggregation is one where its `by (…)` was taken out.
_WORDS: Final = {"and", "or", "unless", "offset"}


def _recorded() -> dict[str, set[str]]:
    """Each metric that a rule records, with the labels that it has."""
    by = {"slo_": "slo", "dependency_": "dependency", "send_errors": "error_class"}
    return {
        rule["record"]: {label for name, label in by.items() if rule["record"].startswith(f"wabus:{name}")}
        for file in RULE_FILES
        for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }


RECORDED: Final = _recorded()


def labels_of(name: str) -> set[str] | None:
    """The labels of a metric as Prometheus has it; None where there is no such metric."""
    for suffix in ("_bucket", "_count", "_sum", ""):
        bare = name.removesuffix(suffix) if suffix else name
        if name.endswith(suffix) and bare in PROMISED:
            own = {f"exported_{label}" if label in SCRAPED else label for label in PROMISED[bare]}
            return own | SCRAPED | ({"le"} if suffix == "_bucket" else set())
    if name in RECORDED:
        return RECORDED[name]
    return FOREIGN[name] | SCRAPED if name in FOREIGN else None


def selectors(expr: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Each metric in an expression with its matchers: label, operator, value."""
    hidden: list[str] = []

    def hide(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return f"\x00{len(hidden) - 1}\x00"

    bare = _GROUPING.sub("", _RANGE.sub("", _STRING.sub(hide, expr)))
    for match in _SELECTOR.finditer(bare):
        if match[1] not in _WORDS:
            shown = re.sub("\x00(\\d+)\x00", lambda found: hidden[int(found[1])], match[2] or "")
            yield match[1], _MATCHER.findall(shown)


def known_labels(expr: str) -> set[str]:
    """Every label that the metrics of an expression have."""
    return set().union(*(labels_of(name) or set() for name, _ in selectors(expr)))


def find_unknown(expr: str) -> set[str]:
    """What an expression names that does not exist: metrics, and labels in matchers and groupings."""
    unknown: set[str] = set()
    for name, matchers in selectors(expr):
        labels = labels_of(name)
        if labels is None:
            unknown.add(name)
        else:
            unknown |= {f"{name}: {label}" for label, _, _ in matchers if label not in labels}
    grouped = {label.strip() for part in _GROUPING.findall(expr) for label in part.split(",")} - {""}
    return unknown | (grouped - known_labels(expr))


def find_impossible(expr: str) -> set[str]:
    """The values that an expression asks for and no label of ours can have."""
    return {
        f"{name}: {label}{operator}{value}"
        for name, matchers in selectors(expr)
        for label, operator, value in matchers
        if not _is_possible(name, label, operator, value)
    }


def _is_possible(name: str, label: str, operator: str, value: str) -> bool:
    if label == "le":
        return value in _bounds_of(name.removesuffix("_bucket"))
    if label not in VALUES or name.startswith("rabbitmq"):  # RabbitMQ has more queues than workers' own
        return True
    return {value} <= VALUES[label] if operator in ("=", "!=") else set(value.split("|")) <= VALUES[label]


def _bounds_of(histogram: str) -> set[str]:
    """The upper bounds of a histogram, as they are exposed."""
    metrics = Metrics()
    fill(metrics)
    families = {family.name: family for family in metrics.registry.collect()}
    return {sample.labels["le"] for sample in families[histogram].samples if "le" in sample.labels}
