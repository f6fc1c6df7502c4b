"""The figures of a day: counts, duplicates, dead letters and percentiles, from the evidence. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from deploy.demo.invariants.evidence import Evidence, Outage
from deploy.demo.record import Record

_PERCENTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of some durations, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """`came_in` and `went_out` by what; `dropped`: repetitions that had no effect; `latencies` by what."""

    came_in: Mapping[str, int]
    went_out: Mapping[str, int]
    dropped: Mapping[str, int]
    dead: Mapping[str, int]
    latencies: Mapping[str, Latency]


def make_figures(evidence: Evidence, record: Record) -> Figures:
    """All figures of a day at rest."""
    sent = record.published
    accepted = Counter(item.message_id for item in evidence.accepted)
    return Figures(
        came_in={
            "inbound messages": sent["wa.inbound"],
            "of them distinct and valid": len(evidence.inbound),
            "replies and other requests to send": sent["wa.outbound"],
            "correlations and closings": sent["wa.correlation"],
            "statuses of the agent platform": sent["wa.status"],
            "campaign recipients": len(evidence.recipients),
        },
        went_out={
            "inbound.enriched": record.distinct_seen,
            "messages accepted by the Cloud API": len(evidence.accepted),
            "of them to campaign recipients": sum(
                accepted[row.id] for row in evidence.messages if row.campaign_id
            ),
            "outbound.sent": sum(item.event_type == "outbound.sent" for item in evidence.told),
            "outbound.failed": sum(item.event_type == "outbound.failed" for item in evidence.told),
            "recipients skipped": sum(one.status == "skipped" for one in evidence.recipients),
            "status events stored": len(evidence.events),
        },
        dropped=_dropped(evidence, record),
        dead=dict(sorted(Counter(letter.reason for letter in evidence.letters).items())),
        latencies=_latencies(evidence, record),
    )


def measure(durations_s: Iterable[float]) -> Latency | None:
    """Percentiles by nearest rank; None of nothing."""
    ordered = sorted(durations_s)
    if not ordered:
        return None
    ranks = (ordered[ceil(len(ordered) * percentile / 100) - 1] for percentile in _PERCENTILES)
    return Latency(len(ordered), *(round(value * 1000, 1) for value in ranks))


def _dropped(evidence: Evidence, record: Record) -> dict[str, int]:
    return {
        "inbound messages handed in again": record.inbound_copies,
        "replies asked for again": record.reply_copies,
        "enriched messages delivered again": len(evidence.seen) - record.distinct_seen,
    }


def _latencies(evidence: Evidence, record: Record) -> dict[str, Latency]:
    """Apart: what was under way while a worker was down. Replies that the sandbox delays are left out."""
    arrived: dict[str, float] = {}
    for item in evidence.seen:
        arrived.setdefault(item.wamid, item.at)
    inbound = [(item.at, arrived[item.wamid]) for item in evidence.inbound if item.wamid in arrived]
    accepted = {item.message_id: item.at for item in reversed(evidence.accepted)}
    taken = {row.genesys_message_id: accepted[row.id] for row in evidence.messages if row.id in accepted}
    replies = [
        (reply.at, taken[reply.genesys_message_id])
        for reply in evidence.replies
        if reply.genesys_message_id in record.plain_replies and reply.genesys_message_id in taken
    ]
    found = {
        **_measure_apart("inbound publish to inbound.enriched", inbound, evidence.outages),
        **_measure_apart("reply publish to the Cloud API", replies, evidence.outages),
    }
    return {name: latency for name, latency in found.items() if latency is not None}


def _measure_apart(
    what: str, spans: Sequence[tuple[float, float]], outages: Sequence[Outage]
) -> dict[str, Latency | None]:
    hit = [any(outage.touches(*span) for outage in outages) for span in spans]
    return {
        what: measure(end - start for (start, end), is_hit in zip(spans, hit, strict=True) if not is_hit),
        f"{what}, a worker being down": measure(
            end - start for (start, end), is_hit in zip(spans, hit, strict=True) if is_hit
        ),
    }
