"""A burst beyond its number's share: what finds no hand is put off cheaply, and keeps its place."""

from dataclasses import replace

import pytest

from tests.support.sending import Sender, text
from tests.support.waiting import until

_BURST = 40
#: At this rate a number has one hand: a message may wait in hand for as long as one is sent.
_RATE = "1"


@pytest.fixture
def slow(sender: Sender) -> Sender:
    sender.cluster.durations = replace(sender.cluster.durations, held_in_hand_s=2.0)
    return sender


async def test_what_is_put_off_is_written_once_by_the_transaction_that_tracks_it(slow: Sender) -> None:
    for place in range(_BURST):
        await slow.ask(text(f"c{place}", _customer(place)))

    async with slow.running(WHATSAPP_NUMBER_MPS=_RATE):
        await until(lambda: _are_put_off(slow, _BURST // 2))
        together = await slow.cluster.conn.fetch(
            """select waiting.xmin = tracked.xmin as at_once, waiting.not_before is not null as is_due
               from deferred_messages as waiting
               join message_tracking as tracked on tracked.id = waiting.message_id
               where waiting.reason = 'earlier_message'"""
        )

    assert {(row["at_once"], row["is_due"]) for row in together} == {(True, True)}


async def test_of_a_customer_whose_messages_are_put_off_together_only_the_first_is_due(slow: Sender) -> None:
    for place in range(_BURST):
        await slow.ask(text(f"c{place}-1", _customer(place)))
        await slow.ask(text(f"c{place}-2", _customer(place)))

    async with slow.running(WHATSAPP_NUMBER_MPS=_RATE):
        await until(lambda: _are_put_off(slow, _BURST))
        due = await slow.cluster.conn.fetch(
            """select tracked.client_message_id as name
               from deferred_messages as waiting
               join message_tracking as tracked on tracked.id = waiting.message_id
               where waiting.not_before is not null
                 and exists (select from message_tracking as earlier
                             where earlier.mapping_id = tracked.mapping_id and earlier.status = 'queued'
                               and earlier.seq < tracked.seq)"""
        )

    assert [row["name"] for row in due] == []


async def _are_put_off(sender: Sender, count: int) -> bool:
    found: int = await sender.cluster.conn.fetchval("select count(*) from deferred_messages")
    return found >= count


def _customer(place: int) -> str:
    return f"4917000001{place:02}"
