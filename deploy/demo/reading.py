"""Reads the other half of the evidence: the database's rows, the queues, and what the sandbox accepted.

Owns the statements of `queries.sql` and the sandbox's own list. Judges nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import aiohttp
import asyncpg

from deploy.demo.echo import Echo
from deploy.demo.invariants.evidence import (
    Accepted,
    Awaited,
    Conversation,
    DeadLetter,
    Evidence,
    Message,
    Recipient,
    Remains,
    StatusEvent,
    Told,
)
from deploy.demo.record import Record
from deploy.demo.wire import Wire
from shared.amqp.topology import build_topology
from shared.postgres.queries import Queries

QUERIES: Final = Queries("deploy.demo")
#: Every queue that must be empty at rest.
ALL_QUEUES: Final = tuple(queue.name for queue in build_topology().queues)


async def read_evidence(
    database: "asyncpg.Connection[Any]",
    wire: Wire,
    record: Record,
    accepted: Iterable[Accepted],
    exit_codes: Mapping[str, int],
) -> Evidence:
    """Everything there is to judge, with what the demo itself recorded. Call it at rest."""

    async def fetch(name: str) -> list[Any]:
        return list(await database.fetch(QUERIES[name]))

    return Evidence(
        inbound=list(record.inbound.values()),
        seen=record.seen,
        replies=list(record.replies.values()),
        deaths=record.deaths,
        correlated=record.correlated,
        closed=record.closed,
        opted_out=record.opted_out,
        too_long=record.too_long,
        known_as=record.known_as,
        outages=record.outages,
        messages=[_message(row) for row in await fetch("messages")],
        events=[_event(row) for row in await fetch("events")],
        mappings=[_conversation(row) for row in await fetch("conversations")],
        letters=[
            DeadLetter(row["raw_body"], row["reason"], row["error_message"] or "")
            for row in await fetch("letters")
        ],
        recipients=[Recipient(*row) for row in await fetch("recipients")],
        accepted=list(accepted),
        told=[Told(row["message_id"], row["event_type"]) for row in await fetch("told")],
        remains=await _read_remains(database, wire),
        exit_codes=exit_codes,
    )


async def read_awaited(database: "asyncpg.Connection[Any]", echo: Echo) -> list[Awaited]:
    """What agents still wait for, and whether it was told."""
    return [
        Awaited(
            event_type, subject, await database.fetchval(QUERIES["is_published"], event_type, field, subject)
        )
        for event_type, field, subject in echo.awaited()
    ]


async def read_accepted(client: aiohttp.ClientSession, sandbox_url: str) -> list[Accepted]:
    """What the sandbox accepted, oldest first."""
    async with client.get(f"{sandbox_url}/_sandbox/messages") as answer:
        answer.raise_for_status()
        messages = (await answer.json())["messages"]
    return [
        Accepted(
            (message["callback_data"] or "").partition(":")[0],
            message["to"],
            datetime.fromisoformat(message["time"]).timestamp(),
        )
        for message in messages
    ]


async def read_unrest(
    database: "asyncpg.Connection[Any]", wire: Wire, client: aiohttp.ClientSession, sandbox_url: str
) -> dict[str, int]:
    """How much is under way, by what; nothing that is zero."""
    rows, depths = await asyncio.gather(database.fetchrow(QUERIES["unrest"]), wire.depths(ALL_QUEUES))
    async with client.get(f"{sandbox_url}/_sandbox/stats") as answer:
        waiting = (await answer.json())["statuses_waiting"]
    found = {**depths, **dict(rows or {}), "statuses to tell": waiting}
    return {name: count for name, count in found.items() if count}


async def _read_remains(database: "asyncpg.Connection[Any]", wire: Wire) -> Remains:
    unrest = await database.fetchrow(QUERIES["unrest"])
    assert unrest is not None
    deferred = await database.fetch(QUERIES["deferred"])
    return Remains(
        queues=await wire.depths(ALL_QUEUES),
        deferred={row["reason"]: row["waiting"] for row in deferred},
        unmarked=unrest["unmarked"],
        unmatched=unrest["unmatched"],
    )


def _message(row: Any) -> Message:
    return Message(**{**row, "id": str(row["id"]), "mapping_id": str(row["mapping_id"])})


def _event(row: Any) -> StatusEvent:
    attempt = (row["callback_data"] or "").partition(":")[2]
    attempt_number = int(attempt) if attempt.isdigit() else 0
    return StatusEvent(str(row["message_id"]), row["status"], attempt_number, row["received_at"])


def _conversation(row: Any) -> Conversation:
    return Conversation(**{**row, "id": str(row["id"]), "conversations": frozenset(row["conversations"])})
