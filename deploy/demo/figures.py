"""The figures of a day: counts, duplicates, dead letters and latencies, from the evidence. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.demo.invariants.evidence import Evidence
from deploy.demo.latencies import Latency, measure_latencies
from deploy.demo.record import Record


@dataclass(frozen=True, slots=True)
class Figures:
    """`came_in` and `went_out` by what; `dropped`: repetitions that had no effect."""

    came_in: Mapping[str, int]
    went_out: Mapping[str, int]
    dropped: Mapping[str, int]
    dead: Mapping[str, int]
    latencies: Sequence[Latency]


def make_figures(evidence: Evidence, record: Record) -> Figures:
    """All figures of a day at rest."""
    sent = record.published
    accepted = Counter(item.message_id for item in evidence.accepted)
    return Figures(
        came_in={
            "messages from customers": sent["wa.inbound"],
            "of them valid and different": len(evidence.inbound),
            "replies and other requests to send": sent["wa.outbound"],
            "conversations named or closed by the agents' side": sent["wa.correlation"],
            "statuses from the agents' side": sent["wa.status"],
            "campaign recipients": len(evidence.recipients),
        },
        went_out={
            "messages to the agents' side (inbound.enriched)": record.distinct_seen,
            "messages that WhatsApp took": len(evidence.accepted),
            "of them to campaign recipients": sum(
                accepted[row.id] for row in evidence.messages if row.campaign_id
            ),
            "customers who turned out to be one (customer.merged)": record.heard["customer.merged"],
            "outbound.sent": sum(item.event_type == "outbound.sent" for item in evidence.told),
            "outbound.failed": sum(item.event_type == "outbound.failed" for item in evidence.told),
            "recipients skipped": sum(one.status == "skipped" for one in evidence.recipients),
            "statuses stored": len(evidence.events),
        },
        dropped=_dropped(evidence, record),
        dead=dict(sorted(Counter(letter.reason for letter in evidence.letters).items())),
        latencies=measure_latencies(evidence, record),
    )


def _dropped(evidence: Evidence, record: Record) -> dict[str, int]:
    return {
        "messages from customers, handed in again": record.inbound_copies,
        "replies asked for again": record.reply_copies,
        "messages to the agents' side, delivered again": len(evidence.seen) - record.distinct_seen,
    }
