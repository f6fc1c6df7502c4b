"""The metrics are those that dashboards depend on, with exactly their labels."""

import asyncio
import tomllib
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from shared.observability.metrics import Metrics, replace_values

ROOT = Path(__file__).resolve().parents[2]
#: The interface: name and labels.
PROMISED = {
    "wabus_build_info": {"version"},
    "wabus_dependency_up": {"dependency"},
    "wabus_certificate_expiry_timestamp_seconds": {"dependency"},
    "wabus_messages_processed_total": {"worker", "outcome"},
    "wabus_message_duration_seconds": {"worker", "lane"},
    "wabus_queue_wait_seconds": {"worker", "lane"},
    "wabus_batch_size": {"worker"},
    "wabus_inflight": {"worker"},
    "wabus_duplicate_messages_total": {"worker"},
    "wabus_conversations_created_total": set(),
    "wabus_conversations_expired_total": set(),
    "wabus_active_conversations": set(),
    "wabus_cache_operations_total": {"operation", "result"},
    "wabus_mapping_resolution_duration_seconds": {"operation", "cache_hit"},
    "wabus_lock_acquire_seconds": {"outcome"},
    "wabus_lock_acquisition_failures_total": set(),
    "wabus_status_events_total": {"outcome"},
    "wabus_retries_total": {"worker", "reason"},
    "wabus_payload_repairs_total": {"worker", "kind"},
    "wabus_identity_evidence_total": {"source", "outcome"},
    "wabus_identity_unnamed_rows": {"table"},
    "wabus_facts_total": {"kind", "outcome"},
    "wabus_carts_total": {"outcome"},
    "wabus_consent_changes_total": {"kind", "value", "source"},
    "wabus_deferred_messages": {"reason"},
    "wabus_dlq_messages_total": {"reason"},
    "wabus_dlq_pending": set(),
    "wabus_queue_depth": {"queue"},
    "wabus_queue_oldest_seconds": {"queue"},
    "wabus_outbox_oldest_seconds": set(),
    "wabus_delivery_seconds": {"lane"},
    "wabus_sends_total": {"outcome", "error_class", "lane"},
    "wabus_send_duration_seconds": {"lane"},
    "wabus_rate_limit_wait_seconds": {"lane"},
    "wabus_circuit_state": {"phone_number_id"},
    "wabus_number_paused": set(),
    "wabus_number_paused_since_timestamp_seconds": {"phone_number_id"},
    "wabus_rows_set_aside": {"job"},
    "wabus_scheduler_lease": set(),
    "wabus_job_interval_seconds": {"name"},
    "wabus_job_last_success_timestamp_seconds": {"name"},
    "wabus_job_failures_total": {"name"},
    "wabus_publish_confirm_seconds": set(),
    "wabus_last_progress_timestamp_seconds": {"worker"},
    "wabus_notices_total": {"kind", "outcome"},
    "wabus_notices_pending": {"kind"},
    "wabus_notice_lateness_seconds": {"kind"},
}


def fill(metrics: Metrics) -> None:
    """Gives every labelled metric one child, so that it shows."""
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram) and metric._labelnames:
            metric.labels(*("x" for _ in metric._labelnames))


def exposed(metrics: Metrics) -> dict[str, set[str]]:
    shown: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.expose().decode()):
        for sample in family.samples:
            name = sample.name
            if family.type == "histogram":
                name = family.name
            if name.startswith("wabus_"):
                shown.setdefault(name, set()).update(label for label in sample.labels if label != "le")
    return shown


def test_every_promised_metric_is_exposed_with_its_labels_and_no_other() -> None:
    metrics = Metrics()
    fill(metrics)

    assert exposed(metrics) == PROMISED


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f'wabus_build_info{{version="{project["version"]}"}} 1.0' in Metrics().expose().decode()


def test_two_sets_of_metrics_in_one_process_do_not_meet() -> None:
    first, second = Metrics(), Metrics()

    first.conversations_created.inc()

    assert "wabus_conversations_created_total 1.0" in first.expose().decode()
    assert "wabus_conversations_created_total 0.0" in second.expose().decode()


def test_replacing_a_gauges_values_removes_labels_that_are_gone() -> None:
    metrics = Metrics()
    replace_values(metrics.deferred_messages, {"rate_limit": 4, "breaker": 1})

    replace_values(metrics.deferred_messages, {"breaker": 2})

    lines = [line for line in metrics.expose().decode().splitlines() if line.startswith("wabus_deferred")]

    assert lines == ['wabus_deferred_messages{reason="breaker"} 2.0']


def test_memory_of_the_process_is_exposed_too() -> None:
    assert "process_resident_memory_bytes" in Metrics().expose().decode()
    assert "asyncio_tasks 0.0" in Metrics().expose().decode()


async def test_a_task_that_does_not_end_shows() -> None:
    metrics = Metrics()
    assert "asyncio_tasks 1.0" in metrics.expose().decode()

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(asyncio.Event().wait()) for _ in range(3)]
        assert "asyncio_tasks 4.0" in metrics.expose().decode()
        for task in waiting:
            task.cancel()
