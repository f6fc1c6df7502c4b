"""The kinds of work that one worker does: what comes in, what shows how much is done."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import asyncpg
from aio_pika.abc import AbstractChannel

from shared.amqp.topology import (
    ENRICHED,
    INBOUND,
    INBOUND_RESOLVER,
    OUTBOUND,
    OUTBOUND_REPLY,
    STATUS,
    STATUS_UPDATER,
)
from tests.bench.traffic import wamid_of
from tests.support.cluster import read_depth
from tests.support.sandbox import SandboxCaller


class Work(StrEnum):
    """One worker's."""

    INBOUND = "inbound"
    STATUSES = "statuses"
    OUTBOUND = "outbound"


#: wabus' worker of each, its queue, and the exchange that gateways publish to.
WORKERS: Final = {
    Work.INBOUND: "inbound-resolver",
    Work.STATUSES: "status-updater",
    Work.OUTBOUND: "outbound-sender",
}
QUEUES: Final = {
    Work.INBOUND: INBOUND_RESOLVER,
    Work.STATUSES: STATUS_UPDATER,
    Work.OUTBOUND: OUTBOUND_REPLY,
}
EXCHANGES: Final = {Work.INBOUND: INBOUND, Work.STATUSES: STATUS, Work.OUTBOUND: OUTBOUND}

CUSTOMERS: Final = 5_000
#: Of replies: as many customers in turn, so that order keeps few of them waiting.
_REPLY_CUSTOMERS: Final = 500
#: The first customer's phone, of messages and statuses, and of replies; the last digits of a reply's choose
#: what the sandbox does.
_PHONE: Final = 491700000000
_REPLY_PHONE: Final = 492000000000
#: Statuses of a message come so many messages apart.
_STEPS: Final = ("sent", "delivered", "read")
_APART: Final = 400

Payload = dict[str, Any]


def payloads(work: Work, count: int, first: int = 0) -> list[tuple[str, Payload]]:
    """(routing key, body) of so many messages in order. `first`: the number of the first; not of statuses."""
    numbers = range(first, first + count)
    match work:
        case Work.INBOUND:
            return [_inbound(number) for number in numbers]
        case Work.STATUSES:
            return _statuses(count)
        case Work.OUTBOUND:
            return [_reply(number) for number in numbers]


def _inbound(number: int) -> tuple[str, Payload]:
    customer = str(_PHONE + number % CUSTOMERS)
    return customer, {
        "wamid": wamid_of(number),
        "timestamp": str(int(time.time())),
        "wa_id": customer,
        "phone_number_id": "1001",
        "contact_name": "Ana",
        "message_text": "hello " * 10,
    }


def _reply(number: int) -> tuple[str, Payload]:
    customer = str(_REPLY_PHONE + number % _REPLY_CUSTOMERS * 1000)
    return f"reply.{customer}", {
        "client_message_id": f"bench-{number:06}",
        "wa_id": customer,
        "phone_number_id": "1001",
        "message_text": f"message {number}",
    }


def _statuses(count: int) -> list[tuple[str, Payload]]:
    messages = messages_of(count)
    order = [
        (number - step * _APART, step)
        for number in range(messages + _APART * (len(_STEPS) - 1))
        for step in range(len(_STEPS))
        if 0 <= number - step * _APART < messages
    ]
    now = int(time.time())
    return [
        (
            "whatsapp",
            {
                "wamid": wamid_of(number),
                "status": _STEPS[step],
                "timestamp": str(now - 10 + step),
                "recipient_id": str(_PHONE + number),
                "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility"},
            },
        )
        for number, step in order
    ]


def messages_of(statuses: int) -> int:
    """To how many messages so many statuses belong; three to each."""
    return statuses // len(_STEPS)


_SENT: Final = """
with mapping as (
    insert into conversation_mappings (wa_id, phone_number_id)
    select ($2::bigint + number)::text, '1001' from generate_series(0, $1::int - 1) as number
    returning id, wa_id
), message as (
    insert into message_tracking (mapping_id, direction, status, wamid, lane, sent_at)
    select id, 'OUTBOUND', 'sent', 'wamid.bench' || lpad((wa_id::bigint - $2::bigint)::text, 8, '0') || $3,
           'reply', now()
    from mapping
    returning id, wamid
)
insert into send_attempts (message_id, attempt, outcome, wamid, finished_at)
select id, 1, 'sent', wamid, now() from message
"""


async def prepare(work: Work, conn: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    """What must be in the database before: the messages that statuses tell of."""
    if work is Work.STATUSES:
        await conn.execute(_SENT, messages_of(count), _PHONE, wamid_of(0)[-24:])


_STORED: Final = "select coalesce(max(id), 0) from status_events"
_SETTLED: Final = "select count(*) from status_events where outcome is not null"


@dataclass(frozen=True, slots=True)
class Progress:
    """How much is done, by what is cheapest to ask: asking takes from what is measured."""

    channel: AbstractChannel
    conn: "asyncpg.Connection[asyncpg.Record]"
    caller: SandboxCaller | None

    async def done(self, work: Work, least: int) -> int:
        """How many of its messages are done, where it is `least` or more; else something below that."""
        match work:
            case Work.INBOUND:
                return await read_depth(self.channel, ENRICHED)
            case Work.STATUSES:
                if await self.conn.fetchval(_STORED) < least:
                    return 0
                return int(await self.conn.fetchval(_SETTLED))
            case Work.OUTBOUND:
                assert self.caller is not None
                return int((await self.caller.stats())["accepted"])
