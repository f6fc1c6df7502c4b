"""The claim of an attempt: the gate's facts read and its decision written, with the messages' rows locked.

Owns that transaction, for several messages at once. What the facts mean is decided in `gate`, and by the
breaker of the number (`shared.messaging.numbers.breaker`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

from shared.commerce.notices.ids import read_client_message_id
from shared.commerce.notices.returning import ReturnedNotice, bind_notices, return_notices
from shared.durable.deferral import release_followers
from shared.durations import Durations
from shared.messaging.campaigns.recipients import return_unsent
from shared.messaging.customers.named import MappedCustomer
from shared.messaging.messages.message_store import drop_messages
from shared.messaging.numbers.breaker import Circuit, admit
from shared.messaging.numbers.breaker_store import UNKNOWN_NUMBERS, CircuitStore, circuit_of
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries
from workers.outbound_sender.claiming.gate import (
    Claim,
    Decision,
    Done,
    Fail,
    Hold,
    Request,
    SendFacts,
    Withdraw,
    WithdrawNotice,
    decide,
)
from workers.outbound_sender.message import Outgoing

_QUERIES = Queries("workers.outbound_sender.claiming")


@dataclass(frozen=True, slots=True, eq=False)
class ClaimRequest:
    """A message that wants to go. Without a permit of the number's rate nothing is claimed for it."""

    message: Outgoing
    has_permit: bool


@dataclass(frozen=True, slots=True)
class NeedsPermit:
    """It may go once it has a permit."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The attempt is committed: its request may start. `at`: the loop's time just before the commit.

    `address`: where it goes, of those of `to`.
    """

    claim: Claim
    at: float
    to: MappedCustomer
    address: str


ClaimOutcome: TypeAlias = Claimed | NeedsPermit | Done | Hold | Withdraw | WithdrawNotice | Fail


@dataclass(frozen=True, slots=True)
class _Facts:
    """`circuit` of its number; one that has none yet is judged by that of the unknown ones at first.

    `to`: its customer, as their mapping says now.
    """

    gate: SendFacts
    circuit: Circuit
    to: MappedCustomer


@dataclass(slots=True, eq=False)
class _AskedMessage:
    """One ask on its way through the transaction."""

    ask: ClaimRequest
    facts: _Facts | None
    decision: Decision | NeedsPermit


class ClaimStore:
    """Decides over messages and claims their attempts."""

    def __init__(self, database: Database, circuits: CircuitStore, durations: Durations) -> None:
        self._database = database
        self._circuits = circuits
        self._durations = durations

    async def screen(self, messages: Sequence[Outgoing]) -> set[UUID]:
        """Those that would be sent as things stand, so that only they ask for a permit. Claims nothing.

        Earlier messages of the same customer count as sent: they may be going right now.
        """
        async with self._database.connection() as connection:
            found = await _read(connection, messages)
        return {message.id for message in messages if self._would_go(message, found.get(message.id))}

    async def claim(self, asks: Sequence[ClaimRequest]) -> list[ClaimOutcome]:
        """Decide over each, and write what was decided, in one transaction."""
        async with self._database.transaction() as connection:
            await connection.execute(_QUERIES["lock_messages"], sorted({ask.message.id for ask in asks}))
            found = await _read(connection, [ask.message for ask in asks])
            cases = [self._open_case(ask, found.get(ask.message.id)) for ask in asks]
            await self._pass_circuits(connection, cases)
            await _insert_attempts(connection, cases, self._durations)
            await _withdraw(connection, cases)
            claimed_at = asyncio.get_running_loop().time()
        return [_verdict(case, claimed_at) for case in cases]

    def _open_case(self, ask: ClaimRequest, facts: _Facts | None) -> _AskedMessage:
        decision = self._decide(ask.message, facts)
        needs_permit = isinstance(decision, Claim) and not ask.has_permit
        return _AskedMessage(ask, facts, NeedsPermit() if needs_permit else decision)

    def _decide(self, message: Outgoing, facts: _Facts | None) -> Decision:
        request = Request(
            is_marketing=message.is_marketing,
            is_notification=message.is_notification,
            needs_phone=message.needs_phone,
            is_replay=message.is_replay,
            status_retry=message.is_status_retry,
        )
        return decide(facts.gate if facts else SendFacts(status=None), request, self._durations)

    def _would_go(self, message: Outgoing, facts: _Facts | None) -> bool:
        if facts is None or admit(facts.circuit, self._durations) is None:
            return False
        alone = replace(facts, gate=replace(facts.gate, earlier_waits=False))
        return isinstance(self._decide(message, alone), Claim)

    async def _pass_circuits(self, connection: Connection, cases: Sequence[_AskedMessage]) -> None:
        """Where a breaker is not closed, only its probes go; they are counted with its row locked."""
        guarded = [
            case
            for case in cases
            if isinstance(case.decision, Claim) and case.facts and case.facts.circuit.state != "closed"
        ]
        if not guarded:
            return
        services = await self._circuits.services(connection, {case.ask.message.number for case in guarded})
        before = await self._circuits.lock(connection, set(services.values()))
        now = dict(before)
        for case in guarded:
            service = services[case.ask.message.number]
            admitted = admit(now.get(service, Circuit()), self._durations)
            if admitted is None:
                case.decision = Hold("circuit_open", 0)
            else:
                now[service] = admitted
        for service, circuit in now.items():
            if circuit != before.get(service, Circuit()):
                await self._circuits.write(connection, service, circuit)


async def _read(connection: Connection, messages: Sequence[Outgoing]) -> dict[UUID, _Facts]:
    ids = [message.id for message in messages]
    expirations = [message.payload.expires_at for message in messages]
    addresses = [message.payload.wa_id for message in messages]
    notices = [_notice_of(message) for message in messages]
    rows = await connection.fetch(
        _QUERIES["read_gates"], ids, expirations, UNKNOWN_NUMBERS, addresses, notices
    )
    return {ids[row["place"] - 1]: _facts_of(row) for row in rows}


def _facts_of(row: Any) -> _Facts:
    to = MappedCustomer(row["customer"], row["wa_id"], row["user_id"])
    return _Facts(_gate_of(row, to), circuit_of(row), to)


def _gate_of(row: Any, to: MappedCustomer) -> SendFacts:
    return SendFacts(
        status=row["status"],
        attempts=row["attempts"],
        unsettled=row["unsettled"],
        unsettled_for_s=row["unsettled_for_s"],
        unanswered_s=row["unanswered_s"],
        pair_refusals=row["pair_refusals"],
        campaign=row["campaign"],
        recipient=row["recipient"],
        notice=row["notice"],
        has_replied=row["has_replied"],
        is_reached=row["is_reached"],
        expired=row["expired"],
        opted_out=row["opted_out"],
        opted_out_of_all=row["opted_out_of_all"],
        number_paused=row["number_paused"],
        marketing_held_s=row["marketing_held_s"],
        earlier_waits=row["earlier_waits"],
        phone_wanted=row["phone_wanted"],
        has_phone=to.phone is not None,
    )


async def _insert_attempts(
    connection: Connection, cases: Sequence[_AskedMessage], durations: Durations
) -> None:
    claims = [(case, case.decision) for case in cases if isinstance(case.decision, Claim)]
    if not claims:
        return
    ids = [case.ask.message.id for case, _ in claims]
    attempts = [claim.attempt for _, claim in claims]
    addresses = [case.ask.message.payload.wa_id for case, _ in claims]
    rows = await connection.fetch(_QUERIES["claim"], ids, attempts, addresses)
    inserted = {row["message_id"] for row in rows}
    for case, _ in claims:
        if case.ask.message.id in inserted:
            inserted.discard(case.ask.message.id)  # a second ask for it finds the attempt open
        else:
            case.decision = Hold("ambiguous", durations.ambiguous_wait_s)
    bound = [(notice, case.ask.message.id) for case, _ in claims if (notice := _notice_of(case.ask.message))]
    await bind_notices(connection, bound)


def _notice_of(message: Outgoing) -> UUID | None:
    named = read_client_message_id(message.payload.client_message_id)
    return None if named is None else named[0]


async def _withdraw(connection: Connection, cases: Sequence[_AskedMessage]) -> None:
    withdrawn = [case for case in cases if isinstance(case.decision, Withdraw | WithdrawNotice)]
    if not withdrawn:
        return
    returned = [
        (case.ask.message.id, case.ask.message.payload.wa_id, decision.recipient, decision.reason)
        for case in withdrawn
        if isinstance(decision := case.decision, Withdraw) and decision.recipient is not None
    ]
    notices: list[ReturnedNotice] = [
        (notice, decision.notice, decision.reason)
        for case in withdrawn
        if isinstance(decision := case.decision, WithdrawNotice)
        and decision.notice is not None
        and (notice := _notice_of(case.ask.message)) is not None
    ]
    await return_unsent(connection, sorted(returned))
    await return_notices(connection, notices)
    await drop_messages(connection, [case.ask.message.id for case in withdrawn])
    await release_followers(connection, [_chain(case) for case in withdrawn])


def _chain(case: _AskedMessage) -> tuple[str, str, str]:
    """Whom those behind it wait for: its customer may be another person's by now than when it came."""
    number, customer, lane = case.ask.message.chain
    return number, case.facts.to.customer if case.facts else customer, lane


def _address(case: _AskedMessage) -> tuple[MappedCustomer, str]:
    """Where it goes: where the platform named its customer last, but to a phone where only that will do."""
    assert case.facts is not None
    to = case.facts.to
    phone = to.phone if case.ask.message.needs_phone or case.facts.gate.phone_wanted else None
    return to, phone or to.wa_id


def _verdict(case: _AskedMessage, claimed_at: float) -> ClaimOutcome:
    match case.decision:
        case Claim() as claim:
            return Claimed(claim, claimed_at, *_address(case))
        case other:
            return other
