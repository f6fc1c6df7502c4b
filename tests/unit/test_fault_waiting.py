"""What untouched customers wait beside a fault is held against what they waited before it, kind by kind."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from deploy.demo.invariants.evidence import Accepted, Evidence, InboundSent, Message, ReplySent
from tests.faults.fault import EVERY_WAIT, Wait
from tests.faults.proof import Lap, Proof
from tests.faults.results import Injected
from tests.faults.waiting import measure, untouched_wait_for_nobody

QUIET = [(float(second), 0.5) for second in range(20)]
FAULT = Injected("a burst", 30.0, 50.0, 0.1, 10.0, in_force=32.0, spares=EVERY_WAIT)
SERVER = Injected("postgres killed", 60.0, 70.0, 1.0, 10.0, in_force=60.0)


def proof(kind: Wait, waits: Iterable[tuple[float, float]], *faults: Injected) -> Proof:
    """Waits of one kind: since when and how long."""
    made = {"inbound": _inbound, "reply": _replies, "status": _statuses}[kind](list(waits))
    return replace(made, injected=faults or (FAULT,))


def _inbound(waits: list[tuple[float, float]]) -> Proof:
    return Proof(
        Evidence(inbound=[InboundSent(f"w{place}", "c", at) for place, (at, _) in enumerate(waits)]),
        enriched_at={f"w{place}": at + seconds for place, (at, seconds) in enumerate(waits)},
        untouched=frozenset(f"w{place}" for place in range(len(waits))),
    )


def _replies(waits: list[tuple[float, float]]) -> Proof:
    return Proof(
        Evidence(
            replies=[ReplySent(f"g{place}", at) for place, (at, _) in enumerate(waits)],
            messages=[
                Message(f"m{place}", "m", "OUTBOUND", "read", "4917", genesys_message_id=f"g{place}")
                for place in range(len(waits))
            ],
            accepted=[
                Accepted(f"m{place}", "4917", at + seconds) for place, (at, seconds) in enumerate(waits)
            ],
        ),
        untouched=frozenset(f"g{place}" for place in range(len(waits))),
    )


def _statuses(waits: list[tuple[float, float]]) -> Proof:
    """Each reply is accepted at once, and its delivery is stored so late."""
    accepted = _replies([(at, 0.0) for at, _ in waits])
    stored = {f"m{place}": at + seconds for place, (at, seconds) in enumerate(waits)}
    return replace(accepted, delivered_at=stored)


@pytest.mark.parametrize("kind", sorted(EVERY_WAIT))
def test_who_waits_2_s_more_than_before_the_fault_is_told(kind: Wait) -> None:
    assert untouched_wait_for_nobody(proof(kind, [*QUIET, (40.0, 2.4)])).is_kept

    verdict = untouched_wait_for_nobody(proof(kind, [*QUIET, (40.0, 2.6)]))

    (breach,) = verdict.violations

    assert breach.startswith(f"a burst: {kind} of ")
    assert breach.endswith("waited 2.6 s of 2.5 s, from +8.0 s; at most 0.5 s before it")


def test_what_was_on_its_way_when_the_fault_struck_is_judged_too() -> None:
    assert not untouched_wait_for_nobody(proof("reply", [*QUIET, (29.0, 9.0)])).is_kept


def test_what_a_fault_touches_may_wait() -> None:
    spares: frozenset[Wait] = frozenset({"inbound", "status"})
    fault = replace(FAULT, spares=spares)

    assert untouched_wait_for_nobody(proof("reply", [*QUIET, (40.0, 9.0)], fault)).is_kept
    assert not untouched_wait_for_nobody(proof("inbound", [*QUIET, (40.0, 9.0)], fault)).is_kept


def test_customers_of_the_number_in_trouble_may_wait() -> None:
    touched = replace(proof("reply", [*QUIET, (40.0, 9.0)]), untouched=frozenset(f"g{n}" for n in range(20)))

    assert untouched_wait_for_nobody(touched).is_kept


def test_a_server_that_is_away_touches_everybody_and_no_other_fault_pays_for_it() -> None:
    during, before = [*QUIET, (61.0, 9.0)], [*QUIET, (49.0, 12.0)]
    overlapping = replace(SERVER, since=45.0)

    assert untouched_wait_for_nobody(proof("reply", during, FAULT, SERVER)).is_kept
    assert untouched_wait_for_nobody(proof("reply", before, FAULT, overlapping)).is_kept
    assert not untouched_wait_for_nobody(proof("reply", before, FAULT, SERVER)).is_kept


def test_what_a_breaker_holds_after_the_cloud_api_is_back_is_not_the_next_faults() -> None:
    refused = Injected("cloud api refuses", 20.0, 28.0, 0.4, 45.0, in_force=20.0)
    held = proof("reply", [*QUIET[:15], (29.0, 28.0)], refused, FAULT)

    assert not untouched_wait_for_nobody(held).is_kept
    lingering = replace(held, injected=(replace(refused, lingers_s=30.0), FAULT))
    assert untouched_wait_for_nobody(lingering).is_kept
    late = proof("reply", [*QUIET[:15], (40.0, 9.0)], replace(refused, lingers_s=10.0), FAULT)

    assert not untouched_wait_for_nobody(late).is_kept


def test_a_replica_that_cannot_work_may_hold_only_what_it_had_in_hand_when_it_noticed() -> None:
    sick = replace(FAULT, held_s=15.0)

    assert untouched_wait_for_nobody(proof("reply", [*QUIET, (31.9, 12.0)], sick)).is_kept
    assert not untouched_wait_for_nobody(proof("reply", [*QUIET, (31.9, 18.0)], sick)).is_kept
    assert not untouched_wait_for_nobody(proof("reply", [*QUIET, (40.0, 9.0)], sick)).is_kept


def test_where_the_machine_itself_was_slower_everybody_was() -> None:
    waited = proof("reply", [*QUIET, (40.0, 3.0)])
    quiet, slow = Lap(5.0, 0.1), Lap(40.5, 0.13)

    assert not untouched_wait_for_nobody(waited).is_kept
    assert not untouched_wait_for_nobody(replace(waited, laps=[quiet])).is_kept
    assert not untouched_wait_for_nobody(replace(waited, laps=[quiet, replace(slow, since=44.0)])).is_kept
    assert untouched_wait_for_nobody(replace(waited, laps=[quiet, slow])).is_kept
    assert not untouched_wait_for_nobody(replace(waited, laps=[quiet, replace(slow, seconds=0.11)])).is_kept


def test_without_a_quiet_time_before_the_fault_nothing_is_called_well() -> None:
    verdict = untouched_wait_for_nobody(proof("reply", [*QUIET[:9], (40.0, 0.1)]))

    assert verdict.violations == ("a burst: nothing was seen before it to compare a reply with",)


def test_the_longest_waits_are_shown_beside_those_before() -> None:
    _, span = measure(proof("status", [*QUIET, (40.0, 1.5), (41.0, 0.2)]))

    assert (span.fault, span.kind, span.count) == ("a burst", "status", 2)
    assert (round(span.longest_s, 3), span.quiet_s) == (1.5, 0.5)
