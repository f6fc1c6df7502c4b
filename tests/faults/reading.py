"""Reads what a run is judged by from the database, the queues and the sandbox; and how much is under way.

Owns its statements, which are not the product's. Every reading has connections of its own: the servers may
have been away a moment ago. Judges nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import aiohttp
import asyncpg

from deploy.demo import reading
from deploy.demo.record import Record
from deploy.demo.wire import Wire
from shared.amqp.topology import EVENTS
from shared.errors import BrokerUnavailable
from tests.faults.event_log import EventLog
from tests.faults.place import Place
from tests.faults.proof import FailedMessage, OutboxEvent, Proof

_OUTBOX: Final = """
select id::text as key, coalesce(routing_key, event_type) as told_as from outbox_events where exchange = $1
"""
_DEFERRED: Final = """
select 'deferred: ' || reason || case when published_until is null then '' else ', published' end as what,
       count(*) as waiting
from deferred_messages group by 1
"""
_FAILED: Final = """
select message.id::text, coalesce(message.error_code, '') as error_code,
       array_remove(array_agg(letter.reason), null) as reasons
from message_tracking as message
left join dead_letter_queue as letter on letter.message_id = message.id
where message.status = 'failed' and message.direction = 'OUTBOUND'
group by message.id
"""
_UNDECIDED: Final = """
select distinct letter.raw_body
from dead_letter_queue as letter
join send_attempts as attempt on attempt.message_id = letter.message_id
where letter.reason = 'send_ambiguous'
  and (attempt.outcome in ('ambiguous', 'abandoned') or attempt.error_code = 'send_ambiguous')
"""
_ENRICHED_AT: Final = """
select wamid, extract(epoch from published_at)::float8
from message_tracking where direction = 'INBOUND' and published_at is not null
"""
_DELIVERED_AT: Final = """
select message_id::text, extract(epoch from min(received_at))::float8
from status_events where status = 'delivered' and message_id is not null group by message_id
"""
_ROWS: Final = """
select json_build_object(
    'customer_addresses', (select json_agg(row) from customer_addresses as row),
    'conversation_mappings', (select json_agg(row) from conversation_mappings as row),
    'message_tracking', (select json_agg(row) from message_tracking as row),
    'send_attempts', (select json_agg(row) from send_attempts as row),
    'status_events', (select json_agg(row) from status_events as row),
    'dead_letter_queue', (select json_agg(row) from dead_letter_queue as row),
    'deferred_messages', (select json_agg(row) from deferred_messages as row),
    'outbox_events', (select json_agg(row) from outbox_events as row)
)::text
"""
_AWAY: Final = (asyncpg.PostgresError, OSError, BrokerUnavailable, aiohttp.ClientError, TimeoutError)


async def read_unrest(place: Place) -> dict[str, int]:
    """How much is under way, by what; a server that does not answer is unrest, too."""
    try:
        async with (
            aiohttp.ClientSession() as client,
            Wire.connected(place.servers.rabbitmq_url, Counter()) as wire,
        ):
            database = await asyncpg.connect(place.servers.database_url)
            try:
                unrest = await reading.read_unrest(database, wire, client, place.sandbox_url)
                rows = await database.fetch(_DEFERRED)
                served = {name: count for name, count in unrest.items() if name not in place.unserved}
                return served | {row["what"]: row["waiting"] for row in rows}
            finally:
                await database.close()
    except _AWAY as error:
        return {f"servers away ({type(error).__name__})": 1}


async def read_proof(
    place: Place, record: Record, ear: EventLog, repeated: set[bytes], exit_codes: Mapping[str, int]
) -> Proof:
    """Everything there is to judge, save what was looked at on the way. Call it at rest."""
    async with (
        aiohttp.ClientSession() as client,
        Wire.connected(place.servers.rabbitmq_url, Counter()) as wire,
    ):
        accepted = await reading.read_accepted(client, place.sandbox_url)
        database = await asyncpg.connect(place.servers.database_url)
        try:
            evidence = await reading.read_evidence(database, wire, record, accepted, exit_codes)
            depths = evidence.remains.queues
            served = {name: depth for name, depth in depths.items() if name not in place.unserved}
            return Proof(
                evidence=replace(evidence, remains=replace(evidence.remains, queues=served)),
                heard=ear.events,
                outbox=[OutboxEvent(*row) for row in await database.fetch(_OUTBOX, EVENTS)],
                failed=[_failed(row) for row in await database.fetch(_FAILED)],
                repeated=frozenset(repeated),
                undecided=frozenset(row["raw_body"] for row in await database.fetch(_UNDECIDED)),
                enriched_at={row[0]: row[1] for row in await database.fetch(_ENRICHED_AT)},
                delivered_at={row[0]: row[1] for row in await database.fetch(_DELIVERED_AT)},
            )
        finally:
            await database.close()


async def read_rows(place: Place) -> str:
    """What the tables hold, as JSON: for whoever looks for the reason of a breach."""
    database = await asyncpg.connect(place.servers.database_url)
    try:
        return str(await database.fetchval(_ROWS))
    finally:
        await database.close()


def _failed(row: Any) -> FailedMessage:
    return FailedMessage(row["id"], row["error_code"], frozenset(row["reasons"]))
