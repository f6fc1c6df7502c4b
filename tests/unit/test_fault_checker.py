"""Every promise of the fault rig is kept by a good run, and broken by what it forbids."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from deploy.demo.invariants import Verdict
from deploy.demo.invariants.evidence import (
    Accepted,
    DeadLetter,
    EnrichedSeen,
    Evidence,
    ExpectedDeath,
    InboundSent,
    Message,
    ReplySent,
    StatusEvent,
)
from tests.faults import checker
from tests.faults.checker import PROMISES, Promise, count_lost, count_twice
from tests.faults.event_log import Heard
from tests.faults.fault import EVERY_WAIT
from tests.faults.proof import FailedMessage, Footprint, Holding, OutboxEvent, Proof
from tests.faults.results import Injected, Outcome, Span
from tests.unit.test_demo_invariants import GOOD as DEMO_EVIDENCE

MEGABYTE = 1024 * 1024
STEP = {"message_id": "out-1", "old_status": "queued", "new_status": "sent"}
CALM = Footprint(
    processes={
        "scheduler.1": Holding(100 * MEGABYTE, 20, 30),
        "outbound-sender.1": Holding(120 * MEGABYTE, 25, 40),
    },
    connections={"rabbitmq": 4, "postgres": 6, "redis": 3},
    consumers={"outbound-sender": 1, "inbound-resolver": 1},
)
GOOD_EVIDENCE = replace(
    DEMO_EVIDENCE,
    messages=[
        replace(row, status="processed" if row.direction == "INBOUND" else row.status)
        for row in DEMO_EVIDENCE.messages
        if row.id != "out-3"
    ],
    events=[*DEMO_EVIDENCE.events[:4], StatusEvent("in-2", "processed")],
    accepted=[item for item in DEMO_EVIDENCE.accepted if item.message_id != "out-3"],
    told=[item for item in DEMO_EVIDENCE.told if item.message_id != "out-3"],
)
GOOD = Proof(
    evidence=GOOD_EVIDENCE,
    heard=[
        Heard("message.updated", "k1", STEP),
        Heard("message.updated", "k1", STEP),
        Heard("outbound.sent", "k2", {"message_id": "out-1"}),
        Heard("inbound.enriched", "w1", {"wamid": "w1"}),
    ],
    outbox=[OutboxEvent("k1", "message.updated"), OutboxEvent("k2", "outbound.sent")],
    failed=[
        FailedMessage("out-2", "131026", frozenset({"send_rejected"})),
        FailedMessage("out-9", "send_ambiguous", frozenset({"send_ambiguous"})),
    ],
    erased=1,
    before=CALM,
    after=CALM,
)


def _held(**changes: Any) -> Footprint:
    processes = {**CALM.processes, "scheduler.1": replace(CALM.processes["scheduler.1"], **changes)}
    return replace(CALM, processes=processes)


def _swapped(replicas: int) -> Proof:
    first, second, *others = GOOD_EVIDENCE.seen
    return replace(GOOD, evidence=replace(GOOD_EVIDENCE, seen=[second, first, *others]), replicas=replicas)


def _with_status(message_id: str, status: str) -> Proof:
    rows = [
        replace(row, status=status if row.id == message_id else row.status) for row in GOOD_EVIDENCE.messages
    ]
    return replace(GOOD, evidence=replace(GOOD_EVIDENCE, messages=rows))


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: getattr(promise, "__name__", "demo"))
def test_a_good_run_keeps_every_promise(promise: Promise) -> None:
    verdict = promise(GOOD)

    assert verdict.is_kept, verdict.violations


@pytest.mark.parametrize(
    ("promise", "proof", "told"),
    [
        (checker.told_with_one_key, replace(GOOD, heard=GOOD.heard[2:]), "message.updated k1: never told"),
        (
            checker.told_with_one_key,
            replace(GOOD, heard=[*GOOD.heard, Heard("outbound.failed", "k2", {})]),
            "outbound.sent k2: told as outbound.failed, outbound.sent",
        ),
        (
            checker.one_key_per_step,
            replace(GOOD, heard=[*GOOD.heard, Heard("message.updated", "k3", STEP)]),
            "out-1 queued sent: 2 keys",
        ),
        (
            checker.failed_are_dead,
            replace(GOOD, failed=[FailedMessage("out-2", "131026", frozenset())]),
            "out-2 failed with '131026': dead as nothing",
        ),
        (
            checker.failed_are_dead,
            replace(GOOD, failed=[FailedMessage("out-2", "131026", frozenset({"expired"}))]),
            "out-2 failed with '131026': dead as ['expired']",
        ),
        (checker.in_order, _swapped(replicas=1), "w1 after w2"),
        (checker.statuses_arrive, _with_status("in-1", "received"), "w1: received, not processed"),
        (checker.statuses_arrive, _with_status("out-1", "delivered"), "o1: delivered, not read"),
        (
            checker.erased_are_gone,
            replace(GOOD, left_of_erased=["customer_addresses: DE.1"]),
            "customer_addresses: DE.1",
        ),
        (checker.nobody_is_stuck, replace(GOOD, after=_held(is_ready=False)), "scheduler.1: not ready"),
        (checker.nobody_is_stuck, replace(GOOD, after=_held(is_live=False)), "scheduler.1: not live"),
        (
            checker.nobody_is_stuck,
            replace(GOOD, after=replace(CALM, consumers={"inbound-resolver": 1})),
            "outbound-sender: 0 consumers of 1",
        ),
        (
            checker.connections_are_returned,
            replace(GOOD, after=replace(CALM, connections={"rabbitmq": 5})),
            "rabbitmq: 5 connections, at most 4 expected",
        ),
        (
            checker.nothing_is_leaked,
            replace(GOOD, after=_held(rss_bytes=300 * MEGABYTE)),
            "scheduler.1: 100 MB before, 300 MB after",
        ),
        (
            checker.nothing_is_leaked,
            replace(GOOD, after=_held(files=500)),
            "scheduler.1: 20 open files before, 500 after",
        ),
        (
            checker.nothing_is_leaked,
            replace(GOOD, after=_held(tasks=60)),
            "scheduler.1: 30 tasks before, 60 after",
        ),
    ],
)
def test_a_breach_is_told(promise: Promise, proof: Proof, told: str) -> None:
    verdict = promise(proof)

    assert told in verdict.violations


def test_what_was_on_its_way_during_a_fault_may_come_later() -> None:
    during = Injected("kill -9 inbound-resolver.1", 1.05, 1.5, 0.4, 5.0)
    before = replace(during, since=0.1, until=0.9)

    assert checker.in_order(replace(_swapped(replicas=1), injected=[during])).is_kept
    assert not checker.in_order(replace(_swapped(replicas=1), injected=[before])).is_kept


def test_order_is_not_promised_across_replicas() -> None:
    assert checker.in_order(_swapped(replicas=2)).is_kept


def test_poison_that_a_gateway_had_to_repeat_may_die_twice() -> None:
    evidence = Evidence(
        deaths=[ExpectedDeath("a bad one", b"bad", "invalid_payload")],
        letters=[DeadLetter(b"bad", "invalid_payload")] * 2,
    )

    assert not checker.poison_is_dead(Proof(evidence)).is_kept
    assert checker.poison_is_dead(Proof(evidence, repeated=frozenset({b"bad"}))).is_kept


def test_poison_that_a_gateway_had_to_repeat_may_not_vanish() -> None:
    evidence = Evidence(deaths=[ExpectedDeath("a bad one", b"bad", "invalid_payload")])

    assert not checker.poison_is_dead(Proof(evidence, repeated=frozenset({b"bad"}))).is_kept


def test_a_message_may_die_of_an_answer_that_nobody_got_and_of_nothing_else() -> None:
    letters = [DeadLetter(b"offer", "send_ambiguous")]
    evidence = replace(GOOD_EVIDENCE, letters=[*GOOD_EVIDENCE.letters, *letters])

    assert not checker.nothing_else_died(replace(GOOD, evidence=evidence)).is_kept
    excused = replace(GOOD, evidence=evidence, undecided=frozenset({b"offer"}))

    assert checker.nothing_else_died(excused).is_kept


def test_what_was_accepted_and_had_no_effect_is_counted_as_lost() -> None:
    row = Message("in-1", "m", "INBOUND", "received", "4917", wamid="w1", is_published=True)
    evidence = Evidence(
        inbound=[InboundSent("w1", "c", 1.0), InboundSent("w2", "c", 1.0), InboundSent("w3", "c", 1.0)],
        seen=[EnrichedSeen("w1", "w1", "m", True, 1.0), EnrichedSeen("w3", "w3", "m", True, 1.0)],
        replies=[ReplySent("g1", 1.0), ReplySent("g2", 1.0, is_refused=True)],
        messages=[row],
    )

    assert count_lost(Proof(evidence)) == 3  # never seen, never tracked, never sent


def test_what_the_platform_took_twice_is_counted_and_the_documented_case_apart() -> None:
    def reply(place: int, *, is_ambiguous: bool) -> Message:
        return Message(f"out-{place}", "m", "OUTBOUND", "read", "4917", is_ambiguous=is_ambiguous)

    evidence = Evidence(
        messages=[
            reply(1, is_ambiguous=False),
            reply(2, is_ambiguous=True),
            reply(3, is_ambiguous=True),
            replace(reply(4, is_ambiguous=True), campaign_id="c"),
        ],
        accepted=[
            Accepted(f"out-{place}", "4917", 1.0)
            for place, times in ((1, 2), (2, 2), (3, 3), (4, 2))
            for _ in range(times)
        ],
    )

    assert count_twice(Proof(evidence)) == (3, 1)


def test_an_outcome_is_json_for_programs() -> None:
    injected = Injected("a burst", 1.0, 2.0, 0.5, 10.0, spares=EVERY_WAIT)
    spans = [Span("a burst", "reply", 3, 0.5, 0.4)]
    outcome = Outcome(1, 2, [injected], [Verdict("p", 1, ())], 10, 0, 0, 0, True, {}, spans)

    told = orjson.loads(orjson.dumps(outcome.as_json()))

    assert told["passed"]
    assert told["injected"][0]["spares"] == ["inbound", "reply", "status"]
    assert told["waits"][0]["longest_s"] == 0.5
