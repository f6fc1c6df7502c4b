"""The section of workers: each kind, as RabbitMQ and PostgreSQL know it."""

from dataclasses import replace
from typing import Final

from shared.masking import escape_controls
from shared.messaging.overview.overview import Overview, WorkFigures
from shared.messaging.overview.workers import Activity, WorkerLine
from workers.cli.ages import describe_age
from workers.cli.overview.parts import (
    BAD,
    FAINT,
    ODD,
    PageColumn,
    PageRow,
    PageSection,
    PageTable,
    describe_freshness,
    number_column,
)

_COLUMNS: Final = (
    PageColumn("worker"),
    number_column("replicas", 8),
    PageColumn("activity", 9),
    PageColumn("work", 6, is_prose=True),
)
_NOTES: Final = (
    "replicas: consumers of the queue that has most of them. Of schedulers one acts; others are not seen.",
    "work: rows that were made in the last ten seconds, whichever replica made them; of the scheduler, what "
    "it has not done.",
)
_SCHEDULER: Final = "scheduler"


def describe_workers(overview: Overview) -> PageSection:
    """A line for each kind; in detail, its queues."""
    work = None if overview.work.error else overview.work.value
    rows = [_worker(line, work) for line in overview.workers]
    freshness = replace(describe_freshness(overview.queues, overview.work), old="")
    return PageSection("workers", PageTable(_COLUMNS, rows), freshness, _NOTES)


def _worker(line: WorkerLine, work: WorkFigures | None) -> PageRow:
    activity, style = _activity(line)
    replicas = "" if line.replicas is None else str(line.replicas)
    told = "" if work is None else _work(line.worker, work)
    if line.worker == _SCHEDULER and work is not None and work.backlog.set_aside:
        style = style or ODD
    cells = (line.worker, replicas, activity, told)
    return PageRow(cells, style, presses=bool(style), beneath=_beneath(line, work))


def _activity(line: WorkerLine) -> tuple[str, str]:
    match line.activity:
        case Activity.WORKS:
            return ("consumes" if line.consumers else "acts"), ""
        case Activity.PARTLY:
            alone = [queue for queue, number in line.consumers.items() if not number]
            return f"does not consume {', '.join(alone)}", BAD
        case Activity.GONE:
            return (
                "nobody consumes" if line.gone_s is None else f"gone for {describe_age(line.gone_s)}"
            ), BAD
        case Activity.NEVER_RAN:
            return "never ran", ODD
        case Activity.UNKNOWN:
            return "", FAINT


def _work(worker: str, work: WorkFigures) -> str:
    match worker:
        case "inbound-resolver":
            return f"{work.pace.inbound_per_s:,g} messages/s"
        case "outbound-sender":
            return f"{work.pace.attempts_per_s:,g} sends/s"
        case "status-updater":
            return f"{work.pace.statuses_per_s:,g} statuses/s"
        case "scheduler":
            late_s, aside = work.backlog.unpublished_s, sum(work.backlog.set_aside.values())
            late = [f"outbox {describe_age(late_s)} behind"] if late_s >= 1 else []
            return ", ".join(late + ([f"{aside} rows set aside"] if aside else []))
        case _:
            return ""


def _beneath(line: WorkerLine, work: WorkFigures | None) -> tuple[str, ...]:
    told = [
        f"{queue}: {number} {'consumer' if number == 1 else 'consumers'}"
        for queue, number in line.consumers.items()
    ]
    if line.worker == _SCHEDULER and work is not None:
        told += [
            f"{rows} rows of the job {escape_controls(job)} are set aside"
            for job, rows in work.backlog.set_aside.items()
        ]
    return tuple(told)
