"""The section of queues: what waits in RabbitMQ, and what is deferred in PostgreSQL."""

from typing import Final

from shared.amqp.management import QueueRates
from shared.amqp.topology import ENRICHED
from shared.durable.backlog import DeferredCount
from shared.masking import escape_controls
from shared.messaging.overview.overview import Overview
from shared.messaging.overview.queues import QueueLine
from workers.cli.ages import describe_age
from workers.cli.overview.parts import (
    BAD,
    FAINT,
    ODD,
    PageColumn,
    PageRow,
    PageSection,
    PageTable,
    describe_count,
    describe_counted,
    describe_freshness,
    number_column,
)

_NOTES: Final = (
    "ready: waits in RabbitMQ for a consumer; deferred: waits in PostgreSQL, and is overdue for `oldest`; "
    "retrying: failed, and waits in a delay queue.",
    "oldest: RabbitMQ tells no age. <40s: the queue was empty 40 s ago; >40s: nobody has taken any for 40 s; "
    "blank: not known yet. Workers know more, by what they took last: wabus_queue_oldest_seconds.",
    "±/s: by how much `ready` changed each second of the last ten. in/s, out/s and in hand come from the "
    "management plugin, where RABBITMQ_MANAGEMENT_URL names it.",
)


def describe_queues(overview: Overview) -> PageSection:
    """A line for each queue, and for each reason for which messages are deferred."""
    rates = None if overview.rates is None or overview.rates.error else overview.rates.value
    is_rated = rates is not None
    columns = (
        PageColumn("queue"),
        number_column("ready"),
        number_column("in/s", 5, on_page=is_rated, in_detail=is_rated),
        number_column("out/s", 6, on_page=is_rated, in_detail=is_rated),
        number_column("±/s", 6, on_page=not is_rated),
        number_column("in hand", 4, on_page=False, in_detail=is_rated),
        number_column("oldest", 7),
        number_column("consumers", 8),
        number_column("retrying", 4),
    )
    rows = [_queue(line, (rates or {}).get(line.queue)) for line in overview.queues.value or ()]
    if overview.work.value is not None and overview.work.error is None:
        rows += [_deferred(item, len(columns)) for item in overview.work.value.backlog.deferred]
    freshness = describe_freshness(overview.queues, overview.rates, overview.work)
    return PageSection("queues", PageTable(columns, rows), freshness, _NOTES)


def _queue(line: QueueLine, rate: QueueRates | None) -> PageRow:
    moving = ("", "") if rate is None else (f"{rate.in_per_s:,.4g}", f"{rate.out_per_s:,.4g}")
    cells = (
        line.queue,
        "missing" if line.ready is None else f"{line.ready:,}",
        *moving,
        _change(line.change_per_s),
        "" if rate is None else describe_count(rate.in_hand),
        _oldest(line),
        str(line.consumers),
        describe_count(sum(line.retrying.values())),
    )
    tiers = [f"{messages:,} for up to {tier}" for tier, messages in line.retrying.items() if messages]
    beneath = (f"retrying: {', '.join(tiers)}",) if tiers else ()
    return PageRow(cells, _style(line), presses=bool(line.ready) or not line.consumers, beneath=beneath)


def _deferred(item: DeferredCount, columns: int) -> PageRow:
    overdue = "" if item.overdue_s is None else describe_age(item.overdue_s)
    waits = (f"deferred: {escape_controls(item.reason)}", describe_counted(item.messages))
    cells = (*waits, "", "", "", "", overdue)
    return PageRow(cells + ("",) * (columns - len(cells)), FAINT, presses=True)


def _change(per_s: float | None) -> str:
    if per_s is None:
        return ""
    return f"{per_s:+,.{0 if abs(per_s) >= 10 else 1}f}" if per_s else "0"


def _oldest(line: QueueLine) -> str:
    if line.waits_at_least_s:
        return f">{describe_age(line.waits_at_least_s)}"
    return "" if line.waits_at_most_s is None else f"<{describe_age(line.waits_at_most_s + 1)}"


def _style(line: QueueLine) -> str:
    """Enriched messages are others': whether somebody takes them is theirs to say."""
    if line.ready is None or (line.ready and not line.consumers and line.queue != ENRICHED):
        return BAD
    return "" if line.consumers else ODD
