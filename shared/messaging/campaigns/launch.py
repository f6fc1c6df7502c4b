"""Launching a campaign from a file: what would be skipped, and the launch itself.

Owns how recipients get into the database: all of a file in one transaction with its draft and the recorded
message `campaign.launch`, so that there is no half of a launch, whatever ends the program.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
from pydantic import ValidationError

from shared.amqp.broker import Publisher
from shared.amqp.topology import BROADCAST
from shared.durable.outbox import Outbox, OutboxEvent
from shared.durations import DURATIONS
from shared.errors import WabusError
from shared.ids import time_ordered_uuid
from shared.messaging.campaigns.file import FileError, ListedCustomer, Problem, read_lines, read_rows
from shared.messaging.campaigns.messages import DEFAULT_CATEGORY, Content, SkipReason, once, prepare
from shared.messaging.campaigns.recipients import Row, add_recipients, chunks, read_reachability
from shared.messaging.campaigns.rendering import names_used
from shared.messaging.campaigns.template import Definition, count_flattened, fault_of
from shared.payloads import BroadcastCampaign, Template, encode
from shared.postgres.audit import record_audit
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.campaigns", "launch.sql")
_FAULTS_KEPT: Final = 1000


class CampaignTaken(WabusError):  # noqa: N818 - it says what happened
    """The id stands for a campaign that says something else, or goes to others: it takes another id."""


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of it. `new` False: the same campaign with the same recipients was launched before.

    `same_customer`: of the recipients, further addresses of customers who are sent to once.
    """

    new: bool
    status: str
    recipients: int
    same_customer: int = 0
    published: bool = True


@dataclass(frozen=True, slots=True)
class RecipientSource:
    """Where recipients come from. `skip_invalid`: lines that are wrong are left out, not a reason to stop."""

    path: Path
    skip_invalid: bool = False

    def rows(self) -> Iterator[Row]:
        return read_rows(self.path, skip_invalid=self.skip_invalid)

    def lines(self) -> Iterator[ListedCustomer]:
        return read_lines(self.path, skip_invalid=self.skip_invalid)


@dataclass(slots=True)
class Survey:
    """What would become of a file's recipients. `faults`: the first lines whose values do not fit."""

    skipped: Counter[str]
    flattened: int = 0
    faults: list[Problem] = field(default_factory=list)
    fault_count: int = 0


def check_text(campaign: BroadcastCampaign, path: Path, columns: Sequence[str]) -> None:
    """Raises FileError where the list has no column for a variable of the campaign's text."""
    missing = names_used(campaign.message_text) - set(columns)
    if missing:
        names, there = ", ".join(sorted(missing)), ", ".join(columns) or "none"
        raise FileError(f"{path}: no column for {names} of the text (there are: {there})")


def duration_s(campaign: BroadcastCampaign, recipients: int, number_mps: float) -> float:
    """How long it takes: at the batches' pace, or the number's where that is slower."""
    batches_s = max(0, -(-recipients // campaign.batch_size) - 1) * campaign.batch_delay_ms / 1000
    return round(max(recipients / (number_mps * DURATIONS.number_rate_share), batches_s), 1)


async def survey(
    database: Database,
    campaign: BroadcastCampaign,
    source: RecipientSource,
    definition: Definition | None,
    advance: Callable[[int], None],
) -> Survey:
    """How many recipients would be skipped now, by reason, and which lines do not fit. Changes nothing.

    `advance` is told how many recipients more were looked at.
    """
    content = Content(
        campaign_id=campaign.campaign_id,
        phone_number_id=campaign.phone_number_id,
        template=campaign.template,
        message_text=campaign.message_text,
        category=campaign.category or DEFAULT_CATEGORY,
        on_ambiguous=campaign.on_ambiguous,
    )
    found = Survey(Counter())
    reached: set[str] = set()
    for chunk in chunks(source.lines()):
        async with database.connection() as connection:
            addresses = [line.wa_id for line in chunk]
            reachable = await read_reachability(
                connection, campaign.campaign_id, content.phone_number_id, addresses, DURATIONS
            )
        for line in chunk:
            known = once(reachable[line.wa_id], reached)
            prepared = prepare(content, line.wa_id, line.variables, known)
            if isinstance(prepared, SkipReason):
                found.skipped[prepared.value] += 1
            else:
                reached.add(known.customer)
            if campaign.template is not None:
                _look_at(found, campaign.template, definition, line)
        advance(len(chunk))
    return found


def _look_at(found: Survey, template: Template, definition: Definition | None, line: ListedCustomer) -> None:
    fault = fault_of(template, definition, line.variables)
    if fault is not None:
        found.fault_count += 1
        if len(found.faults) < _FAULTS_KEPT:
            found.faults.append(Problem(line.number, fault))
    found.flattened += count_flattened(template, line.variables)


async def launch(
    database: Database,
    publisher: Publisher,
    campaign: BroadcastCampaign,
    source: RecipientSource,
    actor: str,
    advance: Callable[[int], None],
) -> Launched:
    """Store the recipients and publish the launch. The same again changes nothing.

    `advance` is told how many recipients more are stored. Raises CampaignTaken, FileError where the file is
    wrong, WabusError where another launch of this id is under way.
    """
    outbox = Outbox(database, publisher, DURATIONS)
    async with database.transaction() as connection:
        found = await _open_draft(connection, campaign)
        if found["status"] != "draft":
            return await _compare(connection, found["status"], campaign, source, advance)
        await connection.execute(_QUERIES["clear_draft"], campaign.campaign_id)
        rows = _told(source.rows(), advance)
        recipients = await add_recipients(connection, campaign.campaign_id, rows)
        twins: int = await connection.fetchval(_QUERIES["count_twins"], campaign.campaign_id)
        events = [_launch_message(campaign)]
        await outbox.record(connection, events)
        await record_audit(
            connection,
            actor=actor,
            action="campaign.launch",
            subject=campaign.campaign_id,
            details={"recipients": recipients, "number": campaign.phone_number_id},
        )
    published = await outbox.publish(events)
    return Launched(True, "draft", recipients, same_customer=twins, published=published == 1)


async def _open_draft(connection: Connection, campaign: BroadcastCampaign) -> asyncpg.Record:
    """The campaign's row, locked; a draft that another launch left is taken over if it says the same."""
    try:
        await connection.execute(
            _QUERIES["open_draft"],
            campaign.campaign_id,
            campaign.phone_number_id,
            campaign.name,
            None if campaign.template is None else encode(campaign.template).decode(),
            campaign.message_text,
            campaign.category,
            campaign.batch_size,
            campaign.batch_delay_ms,
            campaign.scheduled_at,
            campaign.on_ambiguous,
        )
        found = await connection.fetchrow(_QUERIES["lock"], campaign.campaign_id)
    except asyncpg.LockNotAvailableError as error:
        raise WabusError(f"another launch of {campaign.campaign_id} is under way: try again") from error
    assert found is not None
    if _hash_of(found) != campaign.fields_hash():
        raise CampaignTaken(f"campaign {campaign.campaign_id} exists ({found['status']}) with other content")
    return found


def _hash_of(found: asyncpg.Record) -> bytes | None:
    """What the campaign says: as it was launched, or as its draft stands."""
    if found["fields_hash"] is not None:
        return bytes(found["fields_hash"])
    stored = {name: value for name, value in found.items() if name in BroadcastCampaign.model_fields}
    try:
        if stored["template"] is not None:
            stored["template"] = Template.model_validate_json(stored["template"])
        return BroadcastCampaign.model_validate(stored).fields_hash()
    except ValidationError:
        return None


async def _compare(
    connection: Connection,
    status: str,
    campaign: BroadcastCampaign,
    source: RecipientSource,
    advance: Callable[[int], None],
) -> Launched:
    total: int = await connection.fetchval(_QUERIES["count_recipients"], campaign.campaign_id)
    known = asked = 0
    for chunk in chunks(source.rows()):
        customers = [wa_id for wa_id, _ in chunk]
        known += await connection.fetchval(_QUERIES["count_known"], campaign.campaign_id, customers)
        asked += len(chunk)
        advance(len(chunk))
    if not known == asked == total:
        raise CampaignTaken(f"campaign {campaign.campaign_id} was launched ({status}) with other recipients")
    return Launched(new=False, status=status, recipients=total)


def _launch_message(campaign: BroadcastCampaign) -> OutboxEvent:
    return OutboxEvent(
        id=time_ordered_uuid(),
        aggregate_id=campaign.campaign_id,
        aggregate_type="broadcast_campaign",
        event_type=BroadcastCampaign.__name__,
        payload=encode(campaign),
        correlation_id=uuid4().hex,
        exchange=BROADCAST,
        routing_key="campaign.launch",
    )


def _told(rows: Iterator[Row], advance: Callable[[int], None]) -> Iterator[Row]:
    for chunk in chunks(rows):
        yield from chunk
        advance(len(chunk))
