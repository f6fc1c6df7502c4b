"""Claims that meet: one attempt of a message, probes by number, recipients under their campaign's lock.

At the stores, where two transactions can be made to meet; that the sender uses them so is shown elsewhere.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from shared.durable.outbox import Outbox
from shared.durations import DURATIONS
from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.numbers.breaker_store import CircuitStore
from shared.observability.metrics import Metrics
from shared.payloads import OutboundMessage
from shared.postgres.database import Database
from tests.support.leftovers import lock_waiters
from tests.support.paces import FAST
from tests.support.rows import Connection, add_campaign, add_mapping, add_message, insert
from tests.support.sending import CUSTOMER, NUMBER, text
from tests.support.tracking import AbsentBroker, tracking
from tests.support.waiting import until
from tests.unit.test_consuming import delivery
from workers.outbound_sender.claiming.gate import Claim, Hold, Withdraw
from workers.outbound_sender.claiming.store import (
    Claimed,
    ClaimOutcome,
    ClaimRequest,
    ClaimStore,
    NeedsPermit,
)
from workers.outbound_sender.message import Outgoing
from workers.outbound_sender.results.store import AttemptResult, ResultStore

_REPLICAS: Final = 20


@pytest.fixture
async def claims(database_url: str) -> AsyncIterator[ClaimStore]:
    """A store with connections for all replicas of a test."""
    database = Database(database_url, size=_REPLICAS)
    yield ClaimStore(database, CircuitStore(Metrics(), DURATIONS), DURATIONS)
    await database.close()


def outgoing(message_id: UUID, mapping_id: UUID, customer: str = CUSTOMER, lane: str = "reply") -> Outgoing:
    return Outgoing(
        delivery=delivery(),
        copies=(),
        payload=OutboundMessage.model_validate(text(customer=customer)),
        id=message_id,
        mapping_id=mapping_id,
        number=NUMBER,
        customer=customer,
        lane=lane,
        trace_id="trace-1",
        is_replay=False,
        is_status_retry=False,
    )


async def add_outgoing(conn: Connection, customer: str = CUSTOMER, **values: Any) -> Outgoing:
    """A queued message to a customer, in a conversation of its own."""
    mapping_id = await add_mapping(conn, wa_id=customer)
    message_id = await add_message(conn, **{"mapping_id": mapping_id, "lane": "reply"} | values)
    return outgoing(message_id, mapping_id, customer)


def kinds(verdicts: list[ClaimOutcome]) -> Counter[str]:
    return Counter(type(verdict).__name__ for verdict in verdicts)


async def test_copies_that_meet_within_one_claim_are_one_attempt(
    conn: Connection, claims: ClaimStore
) -> None:
    message = await add_outgoing(conn)

    verdicts = await claims.claim([ClaimRequest(message, has_permit=True) for _ in range(_REPLICAS)])

    assert kinds(verdicts) == {"Claimed": 1, "Hold": _REPLICAS - 1}
    assert Hold("ambiguous", DURATIONS.ambiguous_wait_s) in verdicts
    assert await conn.fetchval("select count(*) from send_attempts") == 1


async def test_claims_of_twenty_replicas_that_meet_are_one_attempt(
    conn: Connection, claims: ClaimStore
) -> None:
    message = await add_outgoing(conn)
    async with conn.transaction():
        await conn.execute("select from message_tracking for update")
        claiming = [
            asyncio.create_task(claims.claim([ClaimRequest(message, has_permit=True)]))
            for _ in range(_REPLICAS)
        ]
        await until(lambda: _wait(conn, _REPLICAS))

    verdicts = [verdict for made in await asyncio.gather(*claiming) for verdict in made]

    assert kinds(verdicts) == {"Claimed": 1, "Hold": _REPLICAS - 1}
    assert await conn.fetchval("select count(*) from send_attempts") == 1


async def test_a_claim_knows_what_whoever_held_its_message_has_written(
    conn: Connection, claims: ClaimStore
) -> None:
    message = await add_outgoing(conn)
    async with conn.transaction():
        await conn.execute("select from message_tracking for update")
        claiming = asyncio.create_task(claims.claim([ClaimRequest(message, has_permit=True)]))
        await until(lambda: _wait(conn, 1))
        await conn.execute(
            "insert into send_attempts (message_id, attempt, outcome) values ($1, 1, 'failed')", message.id
        )

    [verdict] = await claiming

    assert isinstance(verdict, Claimed)
    assert verdict.claim == Claim(2)


async def test_without_a_permit_nothing_is_claimed(conn: Connection, claims: ClaimStore) -> None:
    message = await add_outgoing(conn)

    assert await claims.claim([ClaimRequest(message, has_permit=False)]) == [NeedsPermit()]
    assert await conn.fetchval("select count(*) from send_attempts") == 0


async def test_messages_recorded_in_one_transaction_keep_their_order(
    conn: Connection, claims: ClaimStore
) -> None:
    mapping_id = await add_mapping(conn, wa_id=CUSTOMER)
    async with conn.transaction():
        ids = [await add_message(conn, mapping_id=mapping_id, lane="reply") for _ in range(3)]
    assert await conn.fetchval("select count(distinct created_at) from message_tracking") == 1

    asks = [ClaimRequest(outgoing(message_id, mapping_id), has_permit=True) for message_id in ids]
    first, *followers = await claims.claim(asks)

    assert isinstance(first, Claimed)
    assert followers == [Hold("earlier_message", None)] * 2


async def test_of_probes_that_meet_at_one_breaker_two_go(conn: Connection, claims: ClaimStore) -> None:
    messages = [await add_outgoing(conn, f"4917000000{place:02}") for place in range(8)]
    opened_for = timedelta(seconds=DURATIONS.breaker_open_s + 1)
    await conn.execute(
        "insert into circuit_breakers (service, state, opened_at) values ($1, 'open', now() - $2::interval)",
        NUMBER,
        opened_for,
    )
    async with conn.transaction():
        await conn.execute("select from circuit_breakers for update")
        claiming = [
            asyncio.create_task(claims.claim([ClaimRequest(message, has_permit=True)]))
            for message in messages
        ]
        await until(lambda: _wait(conn, len(messages)))

    verdicts = [verdict for made in await asyncio.gather(*claiming) for verdict in made]

    assert kinds(verdicts) == {"Claimed": DURATIONS.breaker_probes, "Hold": 6}
    assert {verdict.reason for verdict in verdicts if isinstance(verdict, Hold)} == {"circuit_open"}


async def add_recipient(conn: Connection) -> Outgoing:
    """The message of a queued recipient, whose campaign is paused by now."""
    await add_campaign(conn, id="spring", status="paused", phone_number_id=NUMBER)
    message = await add_outgoing(conn, campaign_id="spring", client_message_id="c1")
    await insert(
        conn,
        "broadcast_recipients",
        campaign_id="spring",
        wa_id=CUSTOMER,
        status="queued",
        message_id=message.id,
    )
    return message


async def test_a_recipient_that_a_claim_gives_back_while_its_campaign_is_cancelled_is_skipped(
    conn: Connection, claims: ClaimStore
) -> None:
    message = await add_recipient(conn)
    async with conn.transaction():
        await conn.execute("update broadcast_campaigns set status = 'cancelled'")
        claiming = asyncio.create_task(claims.claim([ClaimRequest(message, has_permit=True)]))
        await until(lambda: _waits_or_is_done(conn, claiming))

    assert await claiming == [Withdraw("pending")]
    assert await _recipient(conn) == ("skipped", "campaign_cancelled")


async def test_a_recipient_that_a_refusal_gives_back_while_its_campaign_is_cancelled_is_skipped(
    conn: Connection, database_url: str
) -> None:
    message = await add_recipient(conn)
    await insert(conn, "send_attempts", message_id=message.id, attempt=1)
    refused = AttemptResult(message, 1, "failed", is_over=False, code="132001", weighed=ErrorClass.TEMPLATE)
    async with tracking(database_url) as tracked:
        store = ResultStore(
            tracked.database,
            tracked.tracker,
            CircuitStore(Metrics(), FAST),
            Outbox(tracked.database, AbsentBroker(), FAST),
            FAST,
        )
        async with conn.transaction():
            await conn.execute("update broadcast_campaigns set status = 'cancelled'")
            recording = asyncio.create_task(store.record([refused]))
            await until(lambda: _waits_or_is_done(conn, recording))
        await recording

    assert await _recipient(conn) == ("skipped", "campaign_cancelled")


async def _recipient(conn: Connection) -> tuple[Any, ...]:
    return tuple(await conn.fetchrow("select status, skip_reason from broadcast_recipients") or ())


async def _wait(conn: Connection, sessions: int) -> bool:
    return await lock_waiters(conn) == sessions


async def _waits_or_is_done(conn: Connection, task: "asyncio.Task[Any]") -> bool:
    return task.done() or await lock_waiters(conn) > 0
