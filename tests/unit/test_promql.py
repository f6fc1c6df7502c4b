"""The check of expressions finds what does not exist, and nothing else."""

import pytest

from tests.support.promql import find_impossible, find_unknown, selectors

SOUND = (
    'histogram_quantile(0.95, sum by (le, lane) (rate(wabus_queue_wait_seconds_bucket{lane="bulk"}[5m])))',
    'sum(up{job="wabus"}) or vector(0)',
    "max by (exported_job) (wabus_rows_set_aside) > 0",
    'sum(rate(wabus_message_duration_seconds_bucket{le="1.0"}[$__rate_interval]))',
    'wabus:slo_burn_rate:1h{slo="sends"} > 14.4 unless on () rabbitmq_connections == 0',
    'max by (queue) (rabbitmq_detailed_queue_messages{queue=~".*[.]retry[.].*"})',
)


@pytest.mark.parametrize("expr", SOUND)
def test_what_exists_is_not_complained_of(expr: str) -> None:
    assert find_unknown(expr) == find_impossible(expr) == set()


@pytest.mark.parametrize(
    ("expr", "unknown"),
    [
        ("rate(wabus_send_total[5m])", {"wabus_send_total"}),
        ("sum(proces_resident_memory_bytes)", {"proces_resident_memory_bytes"}),
        ('wabus_sends_total{worker="outbound-sender"}', {"wabus_sends_total: worker"}),
        ("sum by (number) (wabus_number_paused)", {"number"}),
        ("sum by (le) (wabus_batch_size_count)", {"le"}),
        ("wabus:slo_burn_rate:9h > 1", {"wabus:slo_burn_rate:9h"}),
    ],
)
def test_a_metric_or_a_label_that_does_not_exist_is_found(expr: str, unknown: set[str]) -> None:
    assert find_unknown(expr) == unknown


@pytest.mark.parametrize(
    "matcher",
    [
        'wabus_sends_total{lane="slow"}',
        'wabus_sends_total{error_class=~"rate|speed"}',
        'wabus_queue_depth{queue!="inbound"}',
        'wabus_queue_wait_seconds_bucket{le="3.0"}',
    ],
)
def test_a_value_that_a_label_cannot_have_is_found(matcher: str) -> None:
    assert len(find_impossible(f"rate({matcher}[5m])")) == 1


def test_a_brace_or_a_bracket_in_a_value_ends_no_matchers() -> None:
    [(name, matchers)] = selectors('sum(rate(up{job=~"a{2}[b]",instance!="c"}[5m]))')

    assert name == "up"
    assert matchers == [("job", "=~", "a{2}[b]"), ("instance", "!=", "c")]
