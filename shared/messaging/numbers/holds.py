"""What a failure means for others, read and carried out: numbers, their marketing, campaigns, recipients.

Owns that for answers and statuses alike, in the caller's transaction, with the messages' rows locked, and the
statements about numbers. What is decided from the evidence is in `shared.messaging.messages.scopes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from shared.durable.outbox import OutboxEvent
from shared.durations import Durations
from shared.messaging.campaigns.events import CampaignChange, campaign_updated
from shared.messaging.campaigns.recipients import requeue_recipients, return_refused
from shared.messaging.campaigns.store import pause_campaigns, reopen_campaigns
from shared.messaging.messages.graph_errors import CLASS_OF_CODE, ErrorClass
from shared.messaging.messages.scopes import REFUSED_RECIPIENTS, Evidence, Failure, Held, WaitsFor
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.tracing import read_trace
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

logger = get_logger(__name__)
_QUERIES = Queries("shared.messaging.numbers", "holds.sql")
_PARAMETER_CODES: Final = [
    str(code) for code, error_class in CLASS_OF_CODE.items() if error_class is ErrorClass.PARAMETER
]


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """`events` are to be recorded in the outbox. `returned`: whose recipients are their campaign's again."""

    events: list[OutboxEvent]
    returned: frozenset[UUID]


async def read_evidence(
    connection: Connection, failures: Sequence[Failure], *, by_status: bool
) -> dict[UUID, Evidence]:
    """What others tell of these failures, at most one a message. `by_status`: a status told of them."""
    if not failures:
        return {}
    rows = await connection.fetch(
        _QUERIES["read_evidence"],
        [failure.message_id for failure in failures],
        [failure.attempt for failure in failures],
        [failure.code for failure in failures],
        [failure.error_class.value for failure in failures],
        by_status,
        _PARAMETER_CODES,
    )
    return {
        row["id"]: Evidence(row["in_campaign"], row["template_fits"], row["pauses_again"]) for row in rows
    }


async def read_templates(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, object]:
    """The template of each message's campaign, unfilled, as it is stored; of others nothing."""
    rows = await connection.fetch(_QUERIES["read_templates"], list(ids)) if ids else []
    return {row["id"]: row["template"] for row in rows}


async def carry_out(
    connection: Connection, held: Sequence[Held], durations: Durations, *, by: str
) -> CarriedOut:
    """Pause, hold and give back what these failures ask for; the attempts are closed already.

    `by`: the worker, for people. Idempotent: what is paused already stays as it is.
    """
    if not held:
        return CarriedOut([], frozenset())
    await connection.fetch(_QUERIES["lock_campaigns"], [item.failure.message_id for item in held])
    await _pause_numbers(connection, _of(held, WaitsFor.NUMBER), by)
    await _hold_marketing(connection, _of(held, WaitsFor.MARKETING), durations)
    waiting = [
        item.failure.message_id
        for item in held
        if item.is_kept and item.hold in (WaitsFor.NUMBER, WaitsFor.MARKETING)
    ]
    doubted = _of(held, WaitsFor.TEMPLATE)
    await requeue_recipients(connection, waiting, in_doubt=False)
    await requeue_recipients(connection, [failure.message_id for failure in doubted], in_doubt=True)
    refused = await _find_refused(connection, doubted)
    guilty = [*_of(held, WaitsFor.CAMPAIGN), *refused]
    paused = await _pause_campaigns(connection, guilty)
    returned = [
        *(item.failure.message_id for item in held if item.is_kept and item.hold is WaitsFor.CAMPAIGN),
        *(await _find_doubted(connection, refused)),
    ]
    await return_refused(connection, returned)
    requeued = [*waiting, *(failure.message_id for failure in doubted)]
    reopened = await reopen_campaigns(connection, requeued)
    return CarriedOut([_updated(row) for row in (*paused, *reopened)], frozenset(returned))


async def _pause_numbers(connection: Connection, failures: Sequence[Failure], by: str) -> None:
    if not failures:
        return
    for row in await connection.fetch(
        _QUERIES["pause_numbers"], *_attempts(failures), _reasons(failures), by
    ):
        logger.error(
            "number %s is paused, its messages wait for `wabus number resume`: %s",
            row["phone_number_id"],
            row["reason"],
            extra=fields(operation=Operation.NUMBER_CONTROL),
        )


async def _hold_marketing(connection: Connection, failures: Sequence[Failure], durations: Durations) -> None:
    if not failures:
        return
    hold = timedelta(seconds=durations.spam_hold_s)
    for row in await connection.fetch(_QUERIES["hold_marketing"], *_attempts(failures), hold):
        logger.error(
            "marketing of number %s is held for %d s: the platform takes it for spam",
            row["phone_number_id"],
            durations.spam_hold_s,
            extra=fields(operation=Operation.NUMBER_CONTROL),
        )


async def _find_refused(connection: Connection, doubted: Sequence[Failure]) -> list[Failure]:
    """Of the failures in doubt those of campaigns whose template is at fault."""
    if not doubted:
        return []
    ids = [failure.message_id for failure in doubted]
    campaigns = await connection.fetch(_QUERIES["campaigns_of"], ids)
    rows = await connection.fetch(
        _QUERIES["find_refused"], sorted({row["campaign_id"] for row in campaigns}), REFUSED_RECIPIENTS
    )
    refused = {row["id"] for row in rows}
    theirs = {row["id"] for row in campaigns if row["campaign_id"] in refused}
    return [failure for failure in doubted if failure.message_id in theirs]


async def _find_doubted(connection: Connection, refused: Sequence[Failure]) -> list[UUID]:
    """Messages of everybody in the campaigns of these failures who leaves their template in doubt."""
    if not refused:
        return []
    rows = await connection.fetch(_QUERIES["doubted_messages"], [failure.message_id for failure in refused])
    return [row["message_id"] for row in rows]


async def _pause_campaigns(connection: Connection, failures: Sequence[Failure]) -> Sequence[asyncpg.Record]:
    ids = [failure.message_id for failure in failures]
    rows = await pause_campaigns(connection, ids, _reasons(failures))
    for row in rows:
        logger.error(
            "campaign %s is paused: %s",
            row["id"],
            row["reason"],
            extra=fields(operation=Operation.CAMPAIGN_CONTROL),
        )
    return rows


def _of(held: Sequence[Held], hold: WaitsFor) -> list[Failure]:
    return [item.failure for item in held if item.hold is hold]


def _attempts(failures: Sequence[Failure]) -> tuple[list[UUID], list[int]]:
    return [failure.message_id for failure in failures], [failure.attempt for failure in failures]


def _reasons(failures: Sequence[Failure]) -> list[str]:
    return [failure.reason for failure in failures]


def _updated(row: asyncpg.Record) -> OutboxEvent:
    return campaign_updated(
        CampaignChange(
            campaign_id=row["id"],
            old_status=row["old_status"],
            new_status=row["new_status"],
            at=row["at"],
            trace_id=read_trace(row["correlation_id"]).trace_id,
            reason=row["reason"],
        )
    )
