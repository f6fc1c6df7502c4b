"""The day that the demo plays, as a function of its seed and the machine; and when it counts as at rest."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploy.demo.cast import make_cast
from deploy.demo.customers import SPECIAL, TOO_LONG
from deploy.demo.day import LOCKED_NUMBER, Day
from deploy.demo.poison import make_poison
from deploy.demo.rest import wait_for_rest
from deploy.demo.timetable import make_launch
from deploy.sandbox.customers import Addressee, Customers
from shared.amqp.delivery import Delivery
from shared.amqp.topology import INBOUND
from shared.messaging.customers.words import ConsentWords
from shared.reasons import DeadReason
from workers.inbound_resolver.intake import take_in

DAY = Day(seed=5, customers=400, campaign=60, opted_out=7)


def test_the_same_seed_plays_the_same_day_and_another_one_does_not() -> None:
    assert make_cast(DAY) == make_cast(DAY)
    assert make_cast(DAY) != make_cast(Day(seed=6, customers=400, campaign=60, opted_out=7))


def test_a_day_has_its_customers_campaign_and_opt_outs() -> None:
    cast = make_cast(DAY)
    wa_ids = [customer.wa_id for customer in cast.customers]
    recipients = {customer.wa_id for customer in cast.recipients}

    assert len(set(wa_ids)) == DAY.customers
    assert len(recipients) == DAY.campaign
    hidden = {one.customer.wa_id for one in cast.people.hidden}
    assert len(cast.opted_out) == DAY.opted_out + 2
    assert cast.opted_out <= recipients | hidden
    assert cast.opted_out - cast.refusals == {cast.people.hidden[0].customer.wa_id}
    assert {wa_id for wa_id in recipients if wa_id.endswith(SPECIAL)} == cast.too_long
    assert {wa_id[-3:] for wa_id in cast.too_long} == {TOO_LONG}
    assert not cast.opted_out & cast.too_long


def test_a_day_has_repetitions_bursts_and_every_special_recipient_within_its_length() -> None:
    cast = make_cast(DAY)
    incoming = [message for customer in cast.customers for message in customer.incoming]

    assert len({message.wamid for message in incoming}) == len(incoming)
    assert any(message.again_s for message in incoming)
    assert max(len(customer.incoming) for customer in cast.customers) > 15
    special = [customer for customer in cast.customers if not customer.is_plain]

    assert {customer.wa_id[-3:] for customer in special if customer not in cast.bystanders} == set(SPECIAL)
    assert all(0 <= message.at_s <= DAY.duration_s for message in incoming)


def test_only_who_locks_the_third_number_and_bystanders_talk_to_it() -> None:
    cast = make_cast(DAY)
    there = {customer for customer in cast.customers if customer.number == LOCKED_NUMBER}

    assert {customer.wa_id[-3:] for customer in there - set(cast.bystanders)} == {"916", "921"}
    assert set(cast.bystanders) < there
    assert all(customer.replies and customer.reply_dies_of is None for customer in cast.bystanders)


def test_poison_bodies_differ_and_their_reasons_are_ours() -> None:
    poison = make_poison("wamid.known")

    assert max(Counter(item.body for item in poison).values()) == 1
    assert {item.reason for item in poison} <= {reason.value for reason in DeadReason}


def test_inbound_poison_dies_of_the_reason_it_names() -> None:
    poison = [item for item in make_poison("wamid.known") if item.exchange == INBOUND]
    dead = take_in([delivery(item.body) for item in poison], (), ConsentWords()).dead

    assert [(died.body, verdict.reason) for died, verdict in dead] == [
        (item.body, item.reason) for item in poison
    ]


@pytest.mark.parametrize(
    ("carried", "customers"), [(1_000.0, 2_000), (100.0, 700), (105.0, 700), (1.0, 120)], ids=str
)
def test_a_day_is_as_large_as_the_machine_carries(carried: float, customers: int) -> None:
    day = Day(seed=5).fitted(carried)
    cast = make_cast(day)

    assert len(cast.customers) == customers
    assert len(cast.recipients) == 500 * customers // 2_000
    assert {customer.wa_id[-3:] for customer in cast.customers if not customer.is_plain} >= set(SPECIAL)
    assert sum(customer.closes for customer in cast.customers) == day.closings


async def test_rest_takes_several_quiet_looks_in_a_row() -> None:
    looks: list[Mapping[str, int]] = [{"queued": 2}, {}, {"queued": 1}, {}, {}, {}]
    shown: list[Mapping[str, int]] = []

    async def look() -> Mapping[str, int]:
        return looks[len(shown)]

    assert (await wait_for_rest(look, timeout_s=20, show=shown.append, pause_s=0)).is_complete
    assert shown == looks


async def test_rest_that_begins_in_time_is_waited_for() -> None:
    looks = iter([{"queued": 1}, {}, {}, {}])

    async def look() -> Mapping[str, int]:
        return next(looks)

    assert (await wait_for_rest(look, timeout_s=0.01, show=lambda _: None, pause_s=0.02)).is_complete


async def test_rest_that_does_not_come_is_given_up_and_what_changed_of_late_still_moves() -> None:
    async def look() -> Mapping[str, int]:
        return {"queued": 1}

    rest = await wait_for_rest(look, timeout_s=0.05, show=lambda _: None, pause_s=0.01)

    assert (rest.under_way, rest.is_complete, rest.is_moving) == ({"queued": 1}, False, True)
    assert not replace(rest, unchanged_s=100.0).is_moving


def delivery(body: bytes) -> Delivery:
    return Delivery(
        queue="inbound-resolver",
        exchange=INBOUND,
        routing_key="491799990001",
        body=body,
        headers={},
        correlation_id=None,
        message_id=None,
        published_at=None,
        redelivered=False,
        tag=1,
        generation=1,
        received_at=0.0,
    )


def test_people_of_several_addresses_write_under_them_and_end_where_they_were_said_to() -> None:
    people = make_cast(DAY).people

    for customer in people.twofold:
        wa_id, (other, user_id) = customer.wa_id, customer.others
        assert {message.sender for message in customer.incoming} == {wa_id, other}
        assert Customers().find(other) == Customers().find(wa_id) == Addressee(wa_id, user_id)
    assert {customer.wa_id[:2] for customer in people.twofold} == {"55", "52", "54"}
    for hidden in people.hidden:
        alone, under_phone, both = hidden.customer.incoming
        assert (alone.sender, alone.user_id, under_phone.sender) == (hidden.user_id, None, None)
        assert (both, both.user_id) == (hidden.joining, hidden.user_id)
        assert Customers().find(hidden.user_id).wa_id == hidden.customer.wa_id
    for move in people.moves:
        platform = Customers()
        before, after = platform.change_number(move.old, move.customer.wa_id)
        assert (move.customer.incoming[0].sender, move.customer.incoming[0].user_id) == (
            before.wa_id,
            before.user_id,
        )
        assert move.customer.incoming[1].user_id == after.user_id
        assert move.stranger.wa_id == move.old
        assert move.stranger.incoming[0].user_id == platform.find(move.old).user_id


def test_a_list_has_both_notations_of_a_customer() -> None:
    cast = make_cast(DAY)
    listed = [row["wa_id"] for row in make_launch(cast.recipients, DAY.duration_s)["recipients"]]

    assert len(listed) == len(set(listed)) == DAY.campaign + DAY.several
    assert {
        other for customer in cast.people.twofold for other in (customer.wa_id, customer.others[0])
    } <= set(listed)
