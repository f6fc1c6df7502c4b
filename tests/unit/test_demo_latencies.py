"""The demo tells latencies apart: undisturbed, a worker down, that worker catching up, a machine measured."""

from dataclasses import replace
from typing import Final

from deploy.demo.invariants.evidence import (
    Accepted,
    EnrichedSeen,
    Evidence,
    InboundSent,
    Message,
    Outage,
    ReplySent,
    StatusEvent,
)
from deploy.demo.latencies import measure_latencies
from deploy.demo.record import Record

#: Seconds at which messages came in and at which they were seen, by what happened on their way.
SPANS: Final = {
    "measured": (1.0, 5.0),
    "quick": (11.0, 11.1),
    "slow": (12.0, 12.6),
    "in hand at the kill": (19.9, 22.0),
    "came while it was down": (21.0, 22.5),
    "behind the others": (22.1, 22.9),
    "behind those": (22.4, 23.0),
    "first that found nothing waiting": (24.0, 24.1),
    "slow again": (25.0, 26.0),
}
KILLED: Final = Outage("inbound-resolver", 20.0, 22.0)
EVIDENCE: Final = Evidence(
    inbound=[InboundSent(name, "c", came) for name, (came, _) in SPANS.items()],
    seen=[EnrichedSeen(name, name, "m", False, seen) for name, (_, seen) in SPANS.items()],
    outages=[KILLED],
)
RECORD: Final = Record(day_began=10.0)


def rows(evidence: Evidence, record: Record = RECORD) -> dict[str, tuple[int, float, float]]:
    return {
        latency.when: (latency.count, latency.p50_ms, latency.p95_ms)
        for latency in measure_latencies(evidence, record)
    }


def test_what_a_killed_worker_delays_is_told_apart_from_what_is_undisturbed() -> None:
    assert rows(EVIDENCE) == {
        "undisturbed": (4, 100.0, 1000.0),
        "inbound-resolver is down": (2, 1500.0, 2100.0),
        "inbound-resolver catches up": (2, 600.0, 800.0),
        "the machine is measured": (1, 4000.0, 4000.0),
    }


def test_a_row_says_why_which_worker_was_killed_when_and_for_how_long() -> None:
    why = {latency.when: latency.why for latency in measure_latencies(EVIDENCE, RECORD)}

    assert all(text.endswith(".") for text in why.values())
    assert "killed 10.0 s into the day and was back after 2.0 s" in why["inbound-resolver is down"]
    assert "for 2.0 s worked off what had waited" in why["inbound-resolver catches up"]


def test_a_worker_that_never_caught_up_still_does_so_at_the_end() -> None:
    never = replace(EVIDENCE, inbound=EVIDENCE.inbound[:-2])

    assert rows(never)["inbound-resolver catches up"] == (1, 800.0, 800.0)


def test_another_workers_death_disturbs_nothing() -> None:
    assert set(rows(replace(EVIDENCE, outages=[replace(KILLED, worker="status-updater")]))) == {
        "undisturbed",
        "the machine is measured",
    }


def test_replies_and_statuses_are_measured_too_and_replies_that_the_sandbox_delays_are_not() -> None:
    record = Record(day_began=10.0, plain_replies={"g1"}, processed={"w": 30.0})
    evidence = Evidence(
        replies=[ReplySent("g1", 11.0), ReplySent("g2", 11.0)],
        messages=[
            Message("in", "m", "INBOUND", "processed", "c", wamid="w"),
            Message("o1", "m", "OUTBOUND", "sent", "c", genesys_message_id="g1"),
            Message("o2", "m", "OUTBOUND", "sent", "c", genesys_message_id="g2"),
        ],
        accepted=[Accepted("o1", "c", 11.2), Accepted("o2", "c", 19.0)],
        events=[StatusEvent("in", "processed", at=30.5), StatusEvent("o1", "sent", 1, 31.0)],
    )

    found = measure_latencies(evidence, record)

    assert [(latency.when, latency.count, latency.p50_ms) for latency in found] == [
        ("undisturbed", 1, 200.0),
        ("undisturbed", 1, 500.0),
    ]
    assert len({latency.what for latency in found}) == 2
