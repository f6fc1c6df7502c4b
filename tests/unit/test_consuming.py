"""The pure parts of consuming: arrangement, brake, acknowledgement plan, exhaustion and copies."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.amqp.acknowledgement import plan_acknowledgement
from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead, Defer, Retry
from shared.amqp.headers import idempotency_key_of
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import UNLIMITED, Queue, build_topology
from shared.consuming.arrangement import arrange
from shared.consuming.brake import Brake
from shared.consuming.hands import Hands
from shared.consuming.settlement import copy_of, exhaust
from shared.reasons import DeadReason


def delivery(tag: int = 1, **fields: Any) -> Delivery:
    given_fields: dict[str, Any] = {
        "queue": "inbound-resolver",
        "exchange": "wa.inbound",
        "routing_key": "491700000001",
        "body": b"{}",
        "headers": {},
        "correlation_id": "trace-1",
        "message_id": "m-1",
        "published_at": None,
        "redelivered": False,
        "tag": tag,
        "generation": 1,
        "received_at": 0.0,
    }
    return Delivery(**given_fields | fields)


def key(item: Delivery) -> str:
    return item.routing_key


@pytest.mark.parametrize("key", ["k" * 256, "\u20ac" * 86, "k\0"])
def test_a_key_that_cannot_be_published_or_stored_becomes_a_digest(key: str) -> None:
    keys = {idempotency_key_of(delivery(headers={"x-idempotency-key": key})) for _ in range(2)}
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert idempotency_key_of(delivery(headers={"x-idempotency-key": "k" * 255})) == "k" * 255


def test_fresh_deliveries_are_one_part_in_their_order() -> None:
    batch = [delivery(tag) for tag in range(5)]
    assert arrange(batch, key, Random(1)).parts == [batch]


def test_redelivered_ones_are_worked_alone_and_first() -> None:
    fresh, old = delivery(1), delivery(2, redelivered=True)
    assert arrange([fresh, old], key, Random(1)).parts == [[old], [fresh]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20), st.integers())
def test_the_order_of_a_customer_survives_the_shuffle(items: list[tuple[str, bool]], seed: int) -> None:
    batch = [delivery(tag, routing_key=k, redelivered=r) for tag, (k, r) in enumerate(items)]
    parts = arrange(batch, key, Random(seed)).parts
    worked = [item for part in parts for item in part]
    assert sorted(item.tag for item in worked) == list(range(len(items)))
    for name in "abc":
        for redelivered in (True, False):
            tags = [i.tag for i in worked if i.routing_key == name and i.redelivered is redelivered]
            assert tags == sorted(tags)


def test_a_killer_is_not_always_worked_before_the_same_neighbour() -> None:
    batch = [delivery(tag, routing_key=str(tag), redelivered=True) for tag in range(2)]
    firsts = {arrange(batch, key, Random(seed)).parts[0][0].tag for seed in range(20)}

    assert firsts == {0, 1}


def test_an_old_suspect_no_longer_hides_behind_its_customers_order() -> None:
    headers = {"x-delivery-count": 12}
    batch = [delivery(tag, redelivered=True, headers=headers) for tag in range(2)]
    firsts = {arrange(batch, key, Random(seed)).parts[0][0].tag for seed in range(20)}

    assert firsts == {0, 1}


def test_the_brake_trips_above_its_share_and_one_success_releases_it() -> None:
    brake = Brake(window=10, share=0.5)
    for failed in [True] * 5 + [False] * 5:
        brake.note(failed=failed)
    assert not brake.is_tripped
    for _ in range(6):
        brake.note(failed=True)
    assert brake.is_tripped
    brake.note(failed=True)
    assert brake.is_tripped
    brake.note(failed=False)

    assert not brake.is_tripped


def test_the_brake_waits_for_a_full_window() -> None:
    brake = Brake(window=10, share=0.5)
    for _ in range(9):
        brake.note(failed=True)

    assert not brake.is_tripped


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_an_acknowledgement_covers_what_is_done_and_nothing_else(
    outstanding: set[int], done: set[int]
) -> None:
    done &= outstanding
    upto, single = plan_acknowledgement(sorted(outstanding), done)
    covered = {tag for tag in outstanding if upto is not None and tag <= upto} | set(single)

    assert covered == done
    assert len(single) == len(set(single))
    assert upto is None or upto not in single


def test_retries_are_counted_and_the_last_one_is_dead_by_its_reason() -> None:
    retry = Retry("mapping_not_found", "unknown", exhausted=DeadReason.MAPPING_NOT_FOUND, attempts=3)
    assert exhaust(delivery(headers={"x-attempt": 3}), retry) == retry
    dead = exhaust(delivery(headers={"x-attempt": 4}), retry)

    assert dead == Dead(DeadReason.MAPPING_NOT_FOUND, "unknown")


@pytest.mark.parametrize(("attempt", "tier"), [(1, "5s"), (2, "30s"), (3, "2m"), (4, "10m"), (9, "10m")])
def test_each_attempt_has_its_tier(attempt: int, tier: str) -> None:
    copy = copy_of(delivery(headers={"x-attempt": attempt}), Retry("r", "e"))
    assert copy is not None
    assert (copy.exchange, copy.routing_key) == ("wa.retry", f"inbound-resolver.retry.{tier}")
    assert copy.attempt == attempt + 1
    assert copy.mandatory


def test_a_copy_keeps_origin_and_headers_but_not_the_brokers_deaths() -> None:
    headers = {
        "x-wabus-exchange": "wa.inbound",
        "x-wabus-routing-key": "4917",
        "x-death": [{"count": 3}],
        "x-first-death-queue": "q",
        "x-delivery-count": 2,
        "x-idempotency-key": "wamid.1",
        "tenant": "acme",
    }
    copy = copy_of(delivery(exchange="", routing_key="inbound-resolver", headers=headers), Retry("r", "e"))
    assert copy is not None
    origin = {"x-wabus-exchange": "wa.inbound", "x-wabus-routing-key": "4917"}

    assert copy.headers == origin | {"tenant": "acme"}
    assert copy.idempotency_key == "wamid.1"


def test_a_dead_letter_says_why_and_where_it_came_from() -> None:
    copy = copy_of(delivery(body=b"\xff"), Dead(DeadReason.INVALID_PAYLOAD, "body: not UTF-8"))

    assert copy is not None
    assert (copy.exchange, copy.body) == ("wa.dlx", b"\xff")
    assert copy.headers["x-wabus-reason"] == "invalid_payload"
    assert copy.headers["x-wabus-error"] == "body: not UTF-8"
    assert copy.headers["x-wabus-attempts"] == 1
    assert copy.headers["x-wabus-source-queue"] == "inbound-resolver"
    assert copy.headers["x-wabus-exchange"] == "wa.inbound"
    assert copy.headers["x-wabus-routing-key"] == "491700000001"


def test_copies_of_a_message_without_a_trace_have_one_and_the_same() -> None:
    first, second = delivery(correlation_id=None), delivery(correlation_id=None, tag=2)
    copies = [copy_of(item, Retry("r", "e")) for item in (first, first, second)]
    assert len({copy.correlation_id for copy in copies if copy}) == 1
    other = copy_of(delivery(correlation_id=None, body=b"other"), Retry("r", "e"))

    assert other is not None
    assert other.correlation_id != (copies[0] and copies[0].correlation_id)


@pytest.mark.parametrize(
    ("place", "routing_key", "name"),
    [
        ("inbound-resolver", "491700000001", "InboundMessage"),
        ("outbound-sender.bulk", "bulk.1", "OutboundMessage"),
        ("wa.outbound", "nonsense", "OutboundMessage"),
        ("inbound-resolver.correlation", "genesys", "ConversationCorrelation"),
        ("inbound-resolver.correlation", "genesys.closed", "ConversationClosed"),
        ("broadcast-batcher", "campaign.launch", "BroadcastCampaign"),
        ("broadcast-batcher", "campaign.pause", "CampaignControl"),
        ("inbound-resolver", "genesys.closed", "InboundMessage"),
        ("a-queue-of-others", "key", "unknown"),
    ],
)
def test_a_copy_is_of_the_payload_that_its_place_carries(place: str, routing_key: str, name: str) -> None:
    assert payload_name(place, routing_key) == name


def test_what_is_done_or_deferred_is_not_published() -> None:
    assert copy_of(delivery(), Ack()) is None
    assert copy_of(delivery(), Defer("rate_limit", 3.0)) is None


def test_queues_refuse_arguments_that_would_lose_messages() -> None:
    with pytest.raises(ValueError, match="somewhere to go"):
        Queue("q", ttl_s=5)
    with pytest.raises(ValueError, match="drops messages"):
        Queue("q", delivery_limit=20)


def test_every_queue_is_a_quorum_queue_without_a_length_limit() -> None:
    for queue in build_topology().queues:
        assert queue.arguments["x-queue-type"] == "quorum"
        assert "x-max-length" not in queue.arguments
        assert queue.arguments["x-overflow"] == "reject-publish"


def test_queues_of_work_are_limited_and_those_of_others_are_not() -> None:
    limits = {queue.name: queue.arguments["x-delivery-limit"] for queue in build_topology().queues}
    assert limits["inbound-resolver"] == limits["outbound-sender.bulk"] == 20
    assert limits["inbound.enriched"] == limits["dlq-handler"] == UNLIMITED


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Queue("q", delivery_limit=-1)


def test_the_enriched_queue_can_be_left_out() -> None:
    names = {queue.name for queue in build_topology(enriched_queue=False).queues}
    assert "inbound.enriched" not in names


def test_only_what_was_redelivered_once_is_worked_beside_others() -> None:
    once, often = (delivery(tag, redelivered=True, headers={"x-delivery-count": tag}) for tag in (1, 2))
    arranged = arrange([once, often, delivery(3)], lambda item: str(item.tag), Random(1))

    assert arranged.once_redelivered == [[once]]
    assert arranged.often_redelivered == [[often]]


@given(st.lists(st.sampled_from("abc") | st.none(), max_size=30), st.randoms())
def test_no_two_hands_hold_messages_of_one_key_and_each_key_keeps_its_order(
    keys: list[str | None], random: Random
) -> None:
    hands = Hands(lambda item: item.routing_key or None)
    coming = [delivery(tag, routing_key=name or "") for tag, name in enumerate(keys)]
    aside: list[Delivery] = []
    at_work: list[list[Delivery]] = []
    done: list[Delivery] = []
    while coming or aside or at_work:
        if at_work and (not hands.free.is_set() or random.random() < 0.5):
            part = at_work.pop(random.randrange(len(at_work)))
            hands.end(part)
            done += part
        else:
            size = random.randint(0, 4)
            begun, aside = hands.split([*aside, *coming[:size]])
            coming = coming[size:]
            if begun:
                hands.begin(begun)
                at_work.append(begun)
        held = [{item.routing_key for item in part if item.routing_key} for part in at_work]
        assert len(set().union(*held)) == sum(map(len, held))
        assert len(at_work) <= 2
        assert hands.empty.is_set() == (not at_work)
    for name in "abc":
        tags = [item.tag for item in done if item.routing_key == name]
        assert tags == sorted(tags)

    assert len(done) == len(keys)


def test_a_message_without_a_key_waits_for_none() -> None:
    hands = Hands(lambda _: None)
    hands.begin([delivery(1)])
    another = delivery(2)

    assert hands.split([another]) == ([another], [])
