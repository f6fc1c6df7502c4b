"""How long messages took, apart by what happened on their way: nothing, or a worker was killed. Pure.

Each kind of message passes one kind of worker. Where that was killed, messages wait until it is back, and
those that follow wait behind them: neither is what people feel on any other day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from deploy.demo.invariants.evidence import Evidence, Outage
from deploy.demo.record import Record

#: When a message began its way, and when it had arrived.
Span = tuple[float, float]

#: A worker has caught up once a message that came after its return is through in so many seconds.
_CAUGHT_UP_S: Final = 0.25
_ORDINARY: Final = "Its worker was running and nothing had piled up: this is what people feel."
_MEASURED: Final = (
    "Before the day, as many customers at once as this machine bears, to see how much that is: they queue."
)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long `count` messages took, in ms. `what` they were, `when` that was, and `why` so long."""

    what: str
    when: str
    count: int
    p50_ms: float
    p95_ms: float
    why: str


@dataclass(frozen=True, slots=True)
class _Way:
    """What passes one kind of worker, and the span of each message."""

    what: str
    worker: str
    spans: Sequence[Span]


def measure_latencies(evidence: Evidence, record: Record) -> list[Latency]:
    """Those of each kind of message. Replies that the sandbox delays are left out."""
    return [
        latency
        for way in (_inbound(evidence), _replies(evidence, record), _statuses(evidence, record))
        for latency in _tell_apart(way, evidence.outages, record.day_began)
    ]


def _inbound(evidence: Evidence) -> _Way:
    arrived: dict[str, float] = {}
    for item in evidence.seen:
        arrived.setdefault(item.wamid, item.at)
    return _Way(
        "a customer's message, until the agent's side has it",
        "inbound-resolver",
        [(item.at, arrived[item.wamid]) for item in evidence.inbound if item.wamid in arrived],
    )


def _replies(evidence: Evidence, record: Record) -> _Way:
    accepted = {item.message_id: item.at for item in reversed(evidence.accepted)}
    taken = {row.genesys_message_id: accepted[row.id] for row in evidence.messages if row.id in accepted}
    return _Way(
        "an agent's reply, until WhatsApp has taken it",
        "outbound-sender",
        [
            (reply.at, taken[reply.genesys_message_id])
            for reply in evidence.replies
            if reply.genesys_message_id in record.plain_replies and reply.genesys_message_id in taken
        ],
    )


def _statuses(evidence: Evidence, record: Record) -> _Way:
    wamids = {row.id: row.wamid for row in evidence.messages if row.wamid in record.processed}
    return _Way(
        "a status, until it is stored",
        "status-updater",
        [
            (record.processed[wamid], event.at)
            for event in evidence.events
            if event.status == "processed" and (wamid := wamids.get(event.message_id))
        ],
    )


def _tell_apart(way: _Way, outages: Sequence[Outage], day_began: float) -> Iterator[Latency]:
    measured = [span for span in way.spans if span[0] < day_began]
    rest = [span for span in way.spans if span[0] >= day_began]
    disturbed: list[Latency] = []
    for outage in outages:
        if outage.worker == way.worker:
            down = [span for span in rest if outage.touches(*span)]
            rest = [span for span in rest if not outage.touches(*span)]
            caught_up = _caught_up_at(rest, outage.until)
            behind = [span for span in rest if outage.until < span[0] < caught_up]
            rest = [span for span in rest if not outage.until < span[0] < caught_up]
            disturbed += _row(way, f"{way.worker} is down", down, _say_down(outage, day_began))
            disturbed += _row(
                way, f"{way.worker} catches up", behind, _say_catching_up(caught_up - outage.until)
            )
    yield from _row(way, "undisturbed", rest, _ORDINARY)
    yield from disturbed
    yield from _row(way, "the machine is measured", measured, _MEASURED)


def _caught_up_at(spans: Sequence[Span], back: float) -> float:
    """When the first message began that found nothing waiting, or the last one where none did."""
    later = sorted(span for span in spans if span[0] > back)
    return next(
        (begun for begun, done in later if done - begun < _CAUGHT_UP_S), later[-1][0] if later else back
    )


def _say_down(outage: Outage, day_began: float) -> str:
    return (
        f"It was killed {outage.since - day_began:.1f} s into the day and was back after"
        f" {outage.until - outage.since:.1f} s: they waited for it in RabbitMQ."
    )


def _say_catching_up(seconds: float) -> str:
    return f"It was back, and for {seconds:.1f} s worked off what had waited: these came behind that."


def _row(way: _Way, when: str, spans: Sequence[Span], why: str) -> Iterator[Latency]:
    """Percentiles by nearest rank; no row of nothing."""
    if spans:
        ordered = sorted(end - start for start, end in spans)
        p50, p95 = (ordered[ceil(len(ordered) * share / 100) - 1] for share in (50, 95))
        yield Latency(way.what, when, len(ordered), round(p50 * 1000, 1), round(p95 * 1000, 1), why)
