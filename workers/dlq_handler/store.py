"""Dead letters into PostgreSQL, with what they do to their messages, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from shared.deadletters.storing import DeadLetter, store_dead_letters
from shared.durable.outbox import Outbox, OutboxEvent
from shared.durations import Durations
from shared.postgres.database import Connection, Database
from shared.reasons import AUTOMATIC
from workers.dlq_handler.letters import may_be_stored, shared_part
from workers.dlq_handler.messages import QUERIES, DeadDelivery, MessageEnder, Rows
from workers.dlq_handler.outbound import DeadOutbound


@dataclass(frozen=True, slots=True)
class Stored:
    """What is new: dead letters, and events in the outbox, to be published now."""

    letters: list[DeadLetter]
    events: list[OutboxEvent]


class DeathStore:
    """Stores what died."""

    def __init__(
        self, database: Database, outbox: Outbox, messages: MessageEnder, durations: Durations
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._messages = messages
        self._replays = durations.auto_replays

    async def store(self, deaths: Sequence[DeadDelivery], *, end_messages: bool = True) -> Stored:
        """Store each once, and end the messages that can no longer be sent. Raises StoreError."""
        async with self._database.transaction() as connection:
            deaths = await _leave_out_stored(connection, deaths)
            dead = await self._read_outbound(connection, deaths) if end_messages else []
            rows = await self._messages.find(connection, dead)
            letters = [_naming_message(death.letter, rows) for death in deaths]
            events = await store_dead_letters(connection, letters)
            await self._outbox.record(connection, events)
            new = {UUID(item.aggregate_id) for item in events}
            died = [item for item in dead if item.letter.id in new]
            events = [*events, *await self._messages.end(connection, died, rows, deaths)]
        return Stored([letter for letter in letters if letter.id in new], events)

    async def _read_outbound(
        self, connection: Connection, deaths: Sequence[DeadDelivery]
    ) -> list[DeadOutbound]:
        """The outbound messages among them, with what became of the deaths before."""
        parents = {death.letter.replay_of for death in deaths} - {None}
        rows = await connection.fetch(QUERIES["read_parents"], list(parents)) if parents else []
        by_id = {row["id"]: row for row in rows}
        dead = []
        for death in deaths:
            letter = death.letter
            parent = by_id.get(letter.replay_of)
            replays = 0 if parent is None else parent["replays"]
            item = DeadOutbound.read(
                letter,
                goes_back=letter.reason in AUTOMATIC and replays < self._replays,
                is_told=letter.replay_of is not None and (parent is None or not parent["untold"]),
            )
            dead += [] if item is None else [item]
        return dead


async def _leave_out_stored(connection: Connection, deaths: Sequence[DeadDelivery]) -> list[DeadDelivery]:
    """Without redeliveries of what an earlier delivery stored, or stores in this batch."""
    digests = [death.letter.dedupe_key for death in deaths if may_be_stored(death.delivery)]
    if not digests:
        return list(deaths)
    rows = await connection.fetch(QUERIES["stored_before"], digests)
    stored = {row["digest"] for row in rows}
    stored |= {shared for death in deaths if (shared := shared_part(death.letter.dedupe_key)) is not None}
    return [death for death in deaths if death.letter.dedupe_key not in stored]


def _naming_message(letter: DeadLetter, rows: Rows) -> DeadLetter:
    row = rows.get(letter.id)
    return letter if row is None else replace(letter, message_id=row["id"])
