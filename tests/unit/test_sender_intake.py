"""From deliveries to candidates, and the chains that keep a customer's order."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead
from workers.outbound_sender.chains import Chains
from workers.outbound_sender.intake.addressing import judge_conversation
from workers.outbound_sender.intake.admission import has_failed_before, judge_known
from workers.outbound_sender.intake.candidates import Candidate, take_in
from workers.outbound_sender.intake.store import Address, KnownMessage
from workers.outbound_sender.message import Outgoing, Repeated

CUSTOMER = "491700000001"
MAPPING = UUID(int=7)
CHAIN = ("1001", CUSTOMER, "reply")


def delivery(body: dict[str, Any] | bytes, **headers: Any) -> Delivery:
    return Delivery(
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.x",
        body=body if isinstance(body, bytes) else orjson.dumps(body),
        headers=headers,
        correlation_id="trace",
        message_id=None,
        published_at=None,
        redelivered=False,
        tag=1,
        generation=1,
        received_at=0.0,
    )


def text(body: str = "hello", **ids: Any) -> dict[str, Any]:
    return {"wa_id": CUSTOMER, "message_text": body} | (ids or {"client_message_id": "c1"})


def candidate(**headers: Any) -> Candidate:
    [taken] = take_in([delivery(text(), **headers)], ()).candidates
    return taken


def known(status: str = "queued", content_hash: bytes | None = None) -> KnownMessage:
    address = Address(MAPPING, "1001", CUSTOMER, CUSTOMER, None)
    own = candidate().content_hash if content_hash is None else content_hash
    return KnownMessage(UUID(int=1), status, own, address)


@pytest.mark.parametrize(
    ("redelivered", "status", "expected"),
    [(True, "failed", True), (False, "failed", False), (True, "sent", False), (True, "queued", False)],
)
def test_only_what_comes_back_and_has_failed_may_be_missing_among_the_dead(
    redelivered: bool, status: str, expected: bool
) -> None:
    [item] = take_in([replace(delivery(text()), redelivered=redelivered)], ()).candidates
    assert has_failed_before(item, [known(status)]) is expected
    item.first.headers["x-wabus-echo"] = True
    assert has_failed_before(item, [known(status)]) is expected
    assert not has_failed_before(item, [known(status, b"other")])


def test_copies_join_the_first_and_keep_their_order() -> None:
    deliveries = [delivery(text()), delivery(text(client_message_id="c2")), delivery(text())]
    intake = take_in(deliveries, ())

    assert [item.deliveries for item in intake.candidates] == [
        [deliveries[0], deliveries[2]],
        [deliveries[1]],
    ]
    assert intake.dead == []


def test_either_id_makes_a_copy() -> None:
    both = text(client_message_id="c1", genesys_message_id="g1")
    intake = take_in([delivery(both), delivery(text(genesys_message_id="g1"))], ())

    assert len(intake.candidates) == 1


def test_the_same_id_with_other_content_is_dead_beside_the_first() -> None:
    first, second = delivery(text("one")), delivery(text("two"))
    intake = take_in([first, second], ())

    assert [item.first for item in intake.candidates] == [first]
    assert [(item, dead.reason) for item, dead in intake.dead] == [(second, "state_violation")]


def test_a_replay_and_a_status_retry_are_no_copies_of_the_message_they_repeat() -> None:
    deliveries = [
        delivery(text()),
        delivery(text(), **{"x-replay-of": "1"}),
        delivery(text(), **{"x-replay-of": "2"}),
        delivery(text(), **{"x-wabus-status-retry": 1}),
    ]

    assert len(take_in(deliveries, ()).candidates) == 4


def test_a_replayed_message_is_named_only_by_a_replay() -> None:
    failed = str(UUID(int=5))
    named = {"x-wabus-message-id": failed}

    assert candidate(**named).replayed_message is None
    assert candidate(**named, **{"x-replay-of": "1"}).replayed_message == UUID(failed)
    assert candidate(**{"x-replay-of": "1", "x-wabus-message-id": "no uuid"}).replayed_message is None


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed"])
def test_a_known_message_that_is_past_queued_is_a_repetition(status: str) -> None:
    assert judge_known(candidate(), [known(status)]) == Ack()


@pytest.mark.parametrize(
    ("asked", "is_asked"),
    [(True, True), ("true", True), ("True", True), (False, False), ("no", False), (1, False), (None, False)],
)
def test_a_repetition_is_answered_where_its_publisher_asks_for_it(asked: Any, is_asked: bool) -> None:
    headers = {"x-wabus-echo": asked}
    copies = take_in([delivery(text()), delivery(text(), **headers)], ()).candidates

    for item in (candidate(**headers), *copies):
        verdict = judge_known(item, [known("sent")])
        assert isinstance(verdict, Repeated) is is_asked
        assert verdict == Ack() or isinstance(verdict, Repeated)
    assert isinstance(judge_known(candidate(**headers), [known()]), Outgoing)
    assert isinstance(judge_known(candidate(**headers), [known("sent", b"other")]), Dead)


def test_a_retry_of_our_own_is_no_repetition_that_asks() -> None:
    retried = candidate(**{"x-wabus-status-retry": 1, "x-wabus-echo": True})

    assert judge_known(retried, [known("delivered")]) == Ack()


def test_a_known_message_that_is_queued_goes_on_as_itself() -> None:
    message = judge_known(candidate(), [known()])
    assert isinstance(message, Outgoing)
    assert (message.id, message.mapping_id, message.chain) == (UUID(int=1), MAPPING, CHAIN)


def test_a_sent_message_goes_on_where_a_status_asked_for_it() -> None:
    retried = candidate(**{"x-wabus-status-retry": 1})
    assert isinstance(judge_known(retried, [known("sent")]), Outgoing)
    assert judge_known(retried, [known("delivered")]) == Ack()


def test_a_known_id_with_other_content_contradicts() -> None:
    for rows in ([known(content_hash=b"other")], [known("sent", b"other")], [known(), known()]):
        verdict = judge_known(candidate(), rows)
        assert isinstance(verdict, Dead)
        assert (verdict.reason, verdict.message_id) == ("state_violation", None)


@pytest.mark.parametrize("status", ["expired", "closed"])
def test_an_ended_conversation_is_dead(status: str) -> None:
    verdict = judge_conversation(Address(MAPPING, "1001", CUSTOMER, CUSTOMER, "talk", status))
    assert isinstance(verdict, Dead)
    assert verdict.reason == f"mapping_status_{status}"


async def test_a_chain_goes_one_by_one_and_hands_on_what_waits() -> None:
    chains = Chains()
    first, second, third = (chains.join(CHAIN) for _ in range(3))
    other = chains.join(("1001", CUSTOMER, "bulk"))
    assert await first.come() == frozenset()
    assert await other.come() == frozenset()
    coming = asyncio.create_task(second.come())
    await asyncio.sleep(0)
    assert not coming.done()
    first.leave(frozenset({UUID(int=1)}))
    assert await coming == {UUID(int=1)}
    second.leave()

    assert await third.come() == frozenset()


async def test_a_chain_that_is_over_is_forgotten() -> None:
    chains = Chains()
    first, second = chains.join(CHAIN), chains.join(CHAIN)
    first.leave(frozenset({UUID(int=1)}))
    await second.come()
    second.leave(frozenset({UUID(int=2)}))

    assert await chains.join(CHAIN).come() == frozenset()


def test_texts_of_a_template_lose_the_blanks_that_the_platform_refuses() -> None:
    parameters = [
        {"type": "text", "text": "two\nlines\tand     more"},
        {"type": "text", "parameter_name": "city", "text": "New York"},
        {"type": "currency", "currency": {"fallback_value": "1 EUR"}},
    ]
    body = {
        "wa_id": CUSTOMER,
        "client_message_id": "c1",
        "template": {
            "name": "welcome",
            "language": "en",
            "components": [{"type": "body", "parameters": parameters}, {"type": "footer"}],
        },
    }

    intake = take_in([delivery(body)], ())

    [taken] = intake.candidates
    assert taken.payload.template is not None
    [filled, footer] = taken.payload.template.components

    assert [item.get("text") for item in filled["parameters"]] == ["two lines and more", "New York", None]
    assert (filled["parameters"][2], footer) == (parameters[2], {"type": "footer"})
    assert intake.texts_flattened == 1


def test_a_text_is_sent_with_its_lines_as_they_are() -> None:
    intake = take_in([delivery(text("two\nlines"))], ())

    assert intake.candidates[0].payload.message_text == "two\nlines"
    assert intake.texts_flattened == 0
