"""Every invariant of the demo holds on a good day, and is broken by what it forbids."""

from dataclasses import replace
from typing import Any

import pytest

from deploy.demo.invariants import INVARIANTS, Invariant, cluster, inbound, outbound
from deploy.demo.invariants.evidence import (
    Accepted,
    Awaited,
    Conversation,
    Correlated,
    DeadLetter,
    EnrichedSeen,
    Evidence,
    ExpectedDeath,
    InboundSent,
    Message,
    Outage,
    Recipient,
    Remains,
    ReplySent,
    StatusEvent,
    Told,
)

ANA, BEN = "1001/4917001", "1001/4917002"
RECEIVED = Message("in-1", "m-ana", "INBOUND", "processed", "4917001", wamid="w1", is_published=True)
SECOND = replace(RECEIVED, id="in-2", wamid="w2", status="received")
REPLY = Message(
    "out-1", "m-ana", "OUTBOUND", "read", "4917001", wamid="o1", genesys_message_id="g1", attempts=1
)
REFUSED = replace(REPLY, id="out-2", status="failed", wamid=None, genesys_message_id="g2")
OFFER = Message("out-3", "m-ben", "OUTBOUND", "sent", "4917002", wamid="o3", campaign_id="c", attempts=1)
MAPPING = Conversation("m-ana", "1001", "4917001", "4917001", "active", frozenset({"conv"}))
BAD = ExpectedDeath("a bad one", b"bad", "invalid_payload")

GOOD = Evidence(
    inbound=[InboundSent("w1", ANA, 1.0), InboundSent("w2", ANA, 2.0)],
    seen=[
        EnrichedSeen("w1", "w1", "m-ana", True, 1.1),
        EnrichedSeen("w2", "w2", "m-ana", False, 2.1),
        EnrichedSeen("w1", "w1", "m-ana", True, 3.0),
    ],
    replies=[ReplySent("g1", 4.0), ReplySent("g2", 4.0, is_refused=True)],
    deaths=[BAD],
    correlated=[Correlated("m-ana", "conv")],
    opted_out=frozenset({"4917003"}),
    too_long=frozenset({"4917917"}),
    known_as={"4917001": frozenset({"4917001", "DE.1", "4917008"})},
    messages=[RECEIVED, SECOND, REPLY, REFUSED, OFFER],
    events=[
        StatusEvent("in-1", "processed"),
        StatusEvent("out-1", "played"),
        StatusEvent("out-1", "sent", 1),
        StatusEvent("out-2", "failed"),
        StatusEvent("out-3", "sent", 1),
    ],
    mappings=[
        MAPPING,
        replace(MAPPING, id="m-old", address="DE.1", status="closed"),
        Conversation("m-ben", "1001", "4917002", "4917002", "active"),
    ],
    letters=[DeadLetter(b"bad", "invalid_payload", "no JSON")],
    recipients=[
        Recipient("4917002", "sent"),
        Recipient("4917003", "skipped", "opted_out"),
        Recipient("4917917", "failed", None, "132005"),
    ],
    accepted=[Accepted("out-1", "4917001", 4.1), Accepted("out-3", "4917002", 5.0)],
    told=[Told("out-1", "outbound.sent"), Told("out-2", "outbound.failed"), Told("out-3", "outbound.sent")],
    remains=Remains(queues={"inbound-resolver": 0}),
    exit_codes={"inbound-resolver": 0},
)


def change_row(row: Message, **changes: Any) -> dict[str, Any]:
    """The messages of the good day, one of them changed."""
    return {"messages": [replace(row, **changes) if item is row else item for item in GOOD.messages]}


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda one: one.__name__)
def test_an_invariant_is_kept_and_put_to_the_test_on_a_good_day(invariant: Invariant) -> None:
    verdict = invariant(GOOD)

    assert verdict.is_kept, verdict.violations
    assert verdict.checked > 0


@pytest.mark.parametrize(
    ("invariant", "changes"),
    [
        (inbound.tracked_once, {"messages": [*GOOD.messages, replace(RECEIVED, id="in-9")]}),
        (inbound.tracked_once, {"messages": GOOD.messages[1:]}),
        (inbound.tracked_once, change_row(SECOND, wamid="w9")),
        (inbound.published, change_row(SECOND, is_published=False)),
        (inbound.published, {"seen": [GOOD.seen[0]]}),
        (inbound.one_key_each, {"seen": [*GOOD.seen, EnrichedSeen("k9", "w2", "m-ana", False, 4.0)]}),
        (inbound.same_each_time, {"seen": [*GOOD.seen, EnrichedSeen("w1", "w1", "m-ana", False, 4.0)]}),
        (inbound.same_each_time, {"seen": [replace(GOOD.seen[0], is_new=False), GOOD.seen[1]]}),
        (inbound.same_each_time, {"seen": [GOOD.seen[0], replace(GOOD.seen[1], is_new=True)]}),
        (inbound.in_order, {"seen": [GOOD.seen[1], GOOD.seen[2]]}),
        (
            inbound.one_active_mapping,
            {"mappings": [*GOOD.mappings, replace(MAPPING, id="m-9", address="DE.1")]},
        ),
        (inbound.one_active_mapping, {"mappings": GOOD.mappings[2:]}),
        (inbound.one_customer, {"mappings": [MAPPING, replace(GOOD.mappings[1], customer="DE.1")]}),
        (inbound.one_customer, {"mappings": [*GOOD.mappings, replace(MAPPING, address="4917003")]}),
        (inbound.theirs, change_row(SECOND, mapping_id="m-ben")),
        (inbound.theirs, {"known_as": {"4917009": frozenset({"4917001"})}}),
        (inbound.correlated, {"correlated": [Correlated("m-ana", "other")]}),
        (inbound.correlated, {"mappings": [replace(MAPPING, status="closed"), *GOOD.mappings[1:]]}),
        (inbound.correlated, {"mappings": [*GOOD.mappings, replace(MAPPING, id="m-9")]}),
        (inbound.correlated, {"correlated": [Correlated("m-9", "conv")]}),
        (inbound.correlated, {"closed": ["conv"]}),
        (outbound.replies_once, {"accepted": GOOD.accepted[1:]}),
        (outbound.replies_once, {"accepted": [*GOOD.accepted, GOOD.accepted[0]]}),
        (outbound.replies_once, {"accepted": [*GOOD.accepted, Accepted("out-2", "4917001", 6.0)]}),
        (outbound.replies_once, {"replies": [*GOOD.replies, ReplySent("g9", 5.0)]}),
        (outbound.nothing_unasked, {"accepted": [*GOOD.accepted, Accepted("", "4917001", 6.0)]}),
        (outbound.nothing_unasked, {"accepted": [Accepted("out-1", "4917002", 6.0)]}),
        (outbound.nothing_unasked, {"accepted": [Accepted("out-3", "DE.1", 6.0)]}),
        (outbound.told_once, {"told": GOOD.told[1:]}),
        (outbound.told_once, {"told": [*GOOD.told, GOOD.told[0]]}),
        (outbound.told_once, {"told": [GOOD.told[0], Told("out-2", "outbound.sent"), GOOD.told[2]]}),
        (outbound.recipients_once, {"accepted": [*GOOD.accepted, GOOD.accepted[1]]}),
        (
            outbound.recipients_once,
            {
                "accepted": [*GOOD.accepted, Accepted("out-3", "4917009", 6.0)],
                "known_as": {"4917002": frozenset({"4917009"})},
            },
        ),
        (cluster.nothing_else_died, {"letters": [*GOOD.letters, DeadLetter(b'{"wa_id":"4917917"}', "x")]}),
        (outbound.recipients_once, {"recipients": [*GOOD.recipients, Recipient("4917009", "queued")]}),
        (outbound.opted_out_spared, {"opted_out": frozenset({"4917002", "4917003"})}),
        (outbound.opted_out_spared, {"known_as": {"4917003": frozenset({"4917002"})}}),
        (outbound.opted_out_spared, {"recipients": [Recipient("4917003", "skipped", "window_closed")]}),
        (outbound.wrong_values_fail_alone, {"recipients": GOOD.recipients[:2]}),
        (outbound.wrong_values_fail_alone, {"recipients": [Recipient("4917917", "failed", None, "132001")]}),
        (outbound.wrong_values_fail_alone, {"too_long": frozenset()}),
        (outbound.highest_status, change_row(REPLY, status="delivered")),
        (outbound.highest_status, change_row(SECOND, status="processed")),
        (outbound.highest_status, change_row(REFUSED, status="queued")),
        (outbound.nothing_queued, change_row(OFFER, status="queued")),
        (cluster.poison_is_dead, {"letters": []}),
        (cluster.poison_is_dead, {"letters": [*GOOD.letters, *GOOD.letters]}),
        (cluster.poison_is_dead, {"letters": [DeadLetter(b"bad", "unexpected_error")]}),
        (cluster.nothing_else_died, {"letters": [*GOOD.letters, DeadLetter(b"good", "database_error")]}),
        (cluster.agents_told, {"awaited": [Awaited("outbound.sent", "g1", is_published=False)]}),
        (cluster.all_marked, {"remains": Remains(unmarked=1)}),
        (cluster.queues_empty, {"remains": Remains(queues={"dlq-handler": 1})}),
        (cluster.nothing_waits, {"remains": Remains(deferred={"ambiguous": 1})}),
        (cluster.nothing_waits, {"remains": Remains(unmatched=1)}),
        (cluster.drained, {"exit_codes": {"outbound-sender": -9}}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_an_invariant_is_broken_by_what_it_forbids(invariant: Invariant, changes: dict[str, Any]) -> None:
    verdict = invariant(replace(GOOD, **changes))

    assert not verdict.is_kept
    assert all(verdict.violations)


def test_a_reply_that_the_platform_took_back_is_accepted_once_more() -> None:
    taken_back = replace(REPLY, attempts=2)
    events = [*GOOD.events, StatusEvent("out-1", "failed", 1)]
    good = replace(
        GOOD, **change_row(REPLY, attempts=2), events=events, accepted=[*GOOD.accepted, GOOD.accepted[0]]
    )

    assert taken_back in good.messages
    assert outbound.replies_once(good).is_kept
    assert not outbound.replies_once(replace(good, events=GOOD.events)).is_kept


@pytest.mark.parametrize(
    "body",
    [b'{"campaign_id":"spring","wa_id":"4917917"}', b'{"wa_id": "4917917", "campaign_id": "spring"}'],
    ids=["as it was published", "as PostgreSQL writes it"],
)
def test_who_cannot_be_reached_with_the_template_may_die(body: bytes) -> None:
    assert cluster.nothing_else_died(
        replace(GOOD, letters=[*GOOD.letters, DeadLetter(body, "send_rejected")])
    ).is_kept


def test_every_invariant_has_an_example_that_breaks_it() -> None:
    marks = test_an_invariant_is_broken_by_what_it_forbids.pytestmark
    examples = {invariant for invariant, _ in marks[0].args[1]}

    assert examples == set(INVARIANTS)


def test_a_message_in_flight_at_a_kill_may_be_published_late() -> None:
    swapped = replace(GOOD, seen=[GOOD.seen[1], GOOD.seen[2]])

    assert inbound.in_order(replace(swapped, outages=[Outage("inbound-resolver", 1.5, 2.5)])).is_kept
    assert not inbound.in_order(replace(swapped, outages=[Outage("inbound-resolver", 3.5, 9.0)])).is_kept


def test_an_ambiguous_reply_may_be_accepted_up_to_twice() -> None:
    ambiguous = replace(GOOD, **change_row(REPLY, is_ambiguous=True))
    first = GOOD.accepted[0]

    assert outbound.replies_once(replace(ambiguous, accepted=[])).is_kept
    assert outbound.replies_once(replace(ambiguous, accepted=[first, first])).is_kept
    assert not outbound.replies_once(replace(ambiguous, accepted=[first, first, first])).is_kept


def test_a_failure_of_an_attempt_that_was_followed_by_another_does_not_count() -> None:
    retried = replace(GOOD, **change_row(OFFER, attempts=2))
    failed = [*GOOD.events, StatusEvent("out-3", "failed", 1)]

    assert outbound.highest_status(replace(retried, events=failed)).is_kept
    assert not outbound.highest_status(replace(GOOD, events=failed)).is_kept


def test_a_person_may_be_met_under_any_address_that_was_theirs() -> None:
    met = [Accepted("out-1", "DE.1", 4.1), GOOD.accepted[1]]

    assert outbound.nothing_unasked(replace(GOOD, accepted=met)).is_kept
    assert (GOOD.person("DE.1"), GOOD.person("4917001"), GOOD.person("4917002")) == (
        "4917001",
        "4917001",
        "4917002",
    )


def test_an_address_that_changed_hands_is_its_last_owner_s() -> None:
    evidence = replace(GOOD, known_as={**GOOD.known_as, "4917008": frozenset({"4917008", "DE.8"})})

    assert evidence.person("4917008") == "4917008"
    assert evidence.is_of("4917008", "4917001")


def test_a_conversation_of_a_customer_who_turned_out_to_be_another_goes_on_in_theirs() -> None:
    joined = [
        replace(MAPPING, conversations=frozenset({"conv", "of the other"})),
        replace(GOOD.mappings[1], conversations=frozenset({"of the other"})),
        GOOD.mappings[2],
    ]
    named = [*GOOD.correlated, Correlated("m-old", "of the other")]

    assert inbound.correlated(replace(GOOD, mappings=joined, correlated=named)).is_kept
    assert not inbound.correlated(replace(GOOD, mappings=joined[1:], correlated=named)).is_kept


def test_what_came_from_an_address_nobody_knew_is_in_no_order_with_the_rest() -> None:
    sent = [replace(GOOD.inbound[0], stray="DE.1"), GOOD.inbound[1]]
    swapped = replace(GOOD, seen=[GOOD.seen[1], GOOD.seen[2]])

    assert inbound.in_order(replace(swapped, inbound=sent)).is_kept


def test_a_correlation_that_was_closed_is_kept_where_its_mapping_is() -> None:
    closed = [replace(GOOD.mappings[0], status="closed"), *GOOD.mappings[1:]]

    assert inbound.correlated(replace(GOOD, mappings=closed, closed=["conv"])).is_kept
