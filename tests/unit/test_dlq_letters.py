"""Reading where and why a message died, and telling dead letters apart. Pure."""

import base64
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Dead, Retry
from shared.amqp.headers import idempotency_key_of
from shared.consuming.settlement import copy_of
from shared.deadletters.storing import json_of, stored_event
from shared.reasons import DeadReason
from workers.dlq_handler.letters import may_be_stored, read_death, read_letter, simplified

OURS: dict[str, Any] = {
    "x-wabus-reason": "invalid_payload",
    "x-wabus-error": "wa_id: field required",
    "x-wabus-attempts": 3,
    "x-wabus-source-queue": "inbound-resolver",
    "x-wabus-exchange": "wa.inbound",
    "x-wabus-routing-key": "491700000001",
    "x-idempotency-key": "wamid.1",
}
KILLED: dict[str, Any] = {
    "x-death": [
        {
            "count": 1,
            "reason": "delivery_limit",
            "queue": "inbound-resolver",
            "exchange": "wa.inbound",
            "routing-keys": ["491700000001"],
        },
        {"count": 2, "reason": "expired", "queue": "inbound-resolver.retry.5s", "exchange": "wa.retry"},
    ]
}


def delivery(headers: dict[str, Any] | None = None, **fields: Any) -> Delivery:
    values: dict[str, Any] = {
        "queue": "dlq-handler",
        "exchange": "wa.dlx",
        "routing_key": "inbound-resolver",
        "body": b"{}",
        "headers": OURS if headers is None else headers,
        "correlation_id": "trace-1",
        "message_id": "m1",
        "published_at": None,
        "redelivered": False,
        "tag": 1,
        "generation": 1,
        "received_at": 0.0,
    }
    return Delivery(**{**values, **fields})


def key(item: Delivery, reader: str = "reader") -> str:
    return read_letter(item, reader).dedupe_key


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("delivery_limit", DeadReason.DELIVERY_LIMIT),
        ("expired", DeadReason.EXPIRED),
        ("rejected", DeadReason.UNEXPECTED_ERROR),
        ("something new", DeadReason.UNEXPECTED_ERROR),
    ],
)
def test_what_the_broker_killed_has_its_reason(kind: str, reason: DeadReason) -> None:
    death = read_death(delivery({"x-death": [KILLED["x-death"][0] | {"reason": kind}]}))
    assert (death.reason, death.source_queue, death.exchange) == (reason, "inbound-resolver", "wa.inbound")


@pytest.mark.parametrize(
    ("exchange", "routing_key", "error"),
    [
        (
            "wa.outbound",
            "repply.123",
            "wa.outbound has no queue for 'repply.123': keys are reply.<key>, utility.<key>, bulk.<key>",
        ),
        ("wa.broadcast", "launch", "wa.broadcast has no queue for 'launch': keys are campaign.<key>"),
        (
            "wa.outbound",
            "bulk.1",
            "wa.outbound has no queue for 'bulk.1': outbound-sender.bulk or its binding is missing,"
            " run wabus topology declare",
        ),
        ("pigeons", "1", "pigeons has no queue for '1'"),
    ],
)
def test_what_was_unrouted_says_which_keys_there_are(exchange: str, routing_key: str, error: str) -> None:
    death = read_death(delivery({}, exchange=exchange, routing_key=routing_key))

    assert (death.reason, death.error) == (DeadReason.UNROUTED, error)


def test_a_killed_message_is_not_taken_for_one_that_a_publisher_marked_as_dead() -> None:
    death = read_death(delivery(OURS | KILLED))
    assert death.reason is DeadReason.DELIVERY_LIMIT
    assert death.key is None


@pytest.mark.parametrize(
    "headers",
    [
        {"x-death": "text"},
        {"x-death": []},
        {"x-death": [7, {"queue": 3}]},
        {"x-death": [{"queue": "inbound-resolver", "routing-keys": "no list", "exchange": None}]},
        {"x-wabus-reason": 7, "x-wabus-attempts": "many", "x-wabus-error": None, "x-replay-of": 3},
        {
            "x-wabus-reason": "expired",
            "x-wabus-attempts": -1,
            "x-idempotency-key": 5,
            "x-wabus-message-id": "no",
        },
        {"x-attempt": True, "x-wabus-attempts": True},
    ],
)
@pytest.mark.parametrize("exchange", ["wa.dlx", "wa.inbound", ""])
def test_headers_of_any_kind_make_a_dead_letter(headers: dict[str, Any], exchange: str) -> None:
    letter = read_letter(delivery(headers, exchange=exchange), "reader")
    assert letter.raw_body == b"{}"
    assert type(letter.attempts) is int
    assert simplified(letter).raw_body == b"{}"


@given(
    st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.binary(), max_size=5
    ),
    st.binary(),
    st.text(),
    st.text(),
)
def test_nothing_that_comes_makes_reading_fail(
    headers: dict[str, Any], body: bytes, exchange: str, routing_key: str
) -> None:
    item = delivery(headers, body=body, exchange=exchange, routing_key=routing_key)
    assert read_letter(item, "reader").raw_body == body


def test_a_death_of_ours_has_the_same_key_under_every_publish_of_it() -> None:
    first = delivery(published_at=1_768_473_000.0)
    again = delivery(message_id="m2", redelivered=True, tag=9, published_at=1_768_473_001.0)

    assert key(first) == key(again, "another reader")
    assert not may_be_stored(again)


@pytest.mark.parametrize(
    "other",
    [
        delivery(OURS | {"x-idempotency-key": "wamid.2"}),
        delivery(OURS | {"x-wabus-source-queue": "status-updater"}),
        delivery(OURS | {"x-wabus-attempts": 4}),
        delivery(OURS | {"x-replay-of": str(uuid4())}),
        delivery(OURS | {"x-wabus-first-seen": 1_768_473_000}),
        delivery(body=b"[]"),
    ],
)
def test_another_death_has_another_key(other: Delivery) -> None:
    assert key(delivery()) != key(other)


@pytest.mark.parametrize("headers", [KILLED, {}])
def test_what_looks_the_same_is_kept_apart_and_a_redelivery_finds_its_first_delivery(headers: Any) -> None:
    exchange = "wa.dlx" if headers else "wa.inbound"
    first, second = (delivery(headers, exchange=exchange, message_id=None, tag=tag) for tag in (1, 2))
    again = replace(first, redelivered=True, tag=7, generation=2)

    assert key(first) == key(first)
    assert key(first) != key(second)
    assert may_be_stored(again)
    assert key(first).startswith(f"{key(again)}:")


def test_a_message_without_any_id_that_is_delivered_again_is_the_same_dead_letter() -> None:
    """Its worker ended between the publish of its dead letter and the acknowledgement."""
    came = delivery({}, queue="inbound-resolver", exchange="wa.inbound", routing_key="49", message_id=None)
    first, again, other = (_died(item) for item in (came, replace(came, redelivered=True), came))
    assert key(first).startswith(f"{key(again)}:")
    assert key(other) != key(first)
    assert key(other).startswith(f"{key(again)}:")
    assert [may_be_stored(item) for item in (first, again)] == [False, True]
    unlike = _died(replace(came, redelivered=True, body=b"[]"))

    assert key(unlike) != key(again)


def test_a_message_without_any_id_keeps_the_key_of_its_first_retry() -> None:
    came = delivery({}, queue="inbound-resolver", exchange="wa.inbound", routing_key="49", message_id=None)
    copy = copy_of(came, Retry("transient", "away"))
    assert copy is not None
    headers = {**copy.headers, "x-idempotency-key": copy.idempotency_key, "x-attempt": 2}
    retried = replace(came, headers=headers, message_id="m2")

    assert idempotency_key_of(replace(retried, redelivered=True)) == copy.idempotency_key


def _died(item: Delivery) -> Delivery:
    """Its dead letter as the handler gets it: each time another publish."""
    copy = copy_of(item, Dead(DeadReason.INVALID_PAYLOAD, "wa_id: field required"))
    assert copy is not None
    headers = {**copy.headers, "x-idempotency-key": copy.idempotency_key}
    return delivery(headers, body=copy.body, message_id=str(uuid4()))


@pytest.mark.parametrize("body", [b'{"text": "' + b"x" * 10_000_000 + b'"}', b"\xff" * 10_000_000])
def test_the_event_of_a_large_body_is_small_and_says_that_it_is_cut(body: bytes) -> None:
    told = stored_event(read_letter(delivery(OURS, body=body), "reader"), json_of(body))

    assert len(told.payload) < 200_000
    payload = orjson.loads(told.payload)

    assert (payload["original_payload"], payload["raw_body_cut"]) == (None, True)
    assert body.startswith(base64.b64decode(payload["raw_body_base64"]))


@pytest.mark.parametrize(("depth", "is_json"), [(250, True), (251, False), (254, False), (1500, False)])
def test_a_body_is_json_as_long_as_it_can_be_told_inside_of_a_list_of_letters(
    depth: int, *, is_json: bool
) -> None:
    text = json_of(b"[" * depth + b"]" * depth)
    assert (text is not None) is is_json
    if text is not None:
        orjson.dumps({"dead_letters": [{"original_payload": orjson.loads(text)}]})


def failed(message_id: str = "01a218f6-7b82-7b57-a38b-2ce9eac11c2f", **changes: Any) -> Delivery:
    """The dead letter of an outbound message that failed."""
    named = {
        "x-wabus-source-queue": "outbound-sender",
        "x-wabus-reason": "send_rejected",
        "x-wabus-message-id": message_id,
    }
    return delivery(OURS | named | changes.pop("headers", {}), routing_key="outbound-sender", **changes)


def test_a_message_that_failed_is_one_dead_letter_whichever_of_its_deliveries_tells_of_it() -> None:
    first = failed()
    of_its_copy = failed(
        message_id=first.headers["x-wabus-message-id"], headers={"x-idempotency-key": "other"}
    )

    assert key(replace(of_its_copy, message_id="m2")) == key(first)


@pytest.mark.parametrize(
    "other",
    [
        failed(message_id="01a218f6-7693-7044-a2c4-62b7977d188b"),
        failed(body=b'{"another": 1}'),
        failed(headers={"x-replay-of": "8e929160-c35a-4f7f-9447-56afc86d3202"}),
        failed(headers={"x-wabus-reason": "send_ambiguous"}),
        failed(headers={"x-wabus-source-queue": "status-updater"}),
    ],
)
def test_another_failure_is_another_dead_letter(other: Delivery) -> None:
    assert key(other) != key(failed())
