"""The intake of a batch: each candidate's row, found or made, or what becomes of it instead.

Owns the order of steps: repetitions first, then the address (`addressing`), then the row, under the
customers' locks. Asks the Cloud API nothing. Everything is idempotent, so a batch may be admitted again after
an error.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeAlias
from uuid import UUID

from shared.amqp.disposition import Ack, Dead, Defer, Retry, Undone
from shared.amqp.headers import correlation_of
from shared.coordination.keys import mapping_lock_key
from shared.coordination.locks import LockManager
from shared.errors import StoreConflict, StoreLocked
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from workers.outbound_sender.calling.reactions import reason_of
from workers.outbound_sender.intake.addressing import AddressBook, Target
from workers.outbound_sender.intake.candidates import OTHER_CONTENT, Candidate
from workers.outbound_sender.intake.left_behind import LeftBehind
from workers.outbound_sender.intake.shares import Taking
from workers.outbound_sender.intake.store import (
    Address,
    Fresh,
    IntakeStore,
    KnownMessage,
    PersonAtNumber,
    Replayed,
    new_message,
)
from workers.outbound_sender.message import EARLIER_MESSAGE, Outgoing, Repeated, Unaddressed

logger = get_logger(__name__)

#: Looks at a batch whose rows other replicas make at the same time.
_LOOKS = 3
#: Tracked and put off in one transaction.
_PUT_OFF = Defer(EARLIER_MESSAGE, 0, is_stored=True)

_LOCKED = "another session or process keeps its customer locked"

Admitted: TypeAlias = Outgoing | Repeated | Unaddressed | Ack | Dead | Retry | Defer | Undone


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A candidate without a row, and the failed message that it repeats.

    `customer`: whose its address is, where it names one.
    """

    candidate: Candidate
    customer: str | None
    replay_of: Replayed | None = None


_Addressed: TypeAlias = tuple[_Wanted, Target]


class Admission:
    """Admits candidates, for all lanes."""

    def __init__(
        self,
        store: IntakeStore,
        book: AddressBook,
        locks: LockManager,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._book = book
        self._locks = locks
        self._metrics = metrics
        self.left = LeftBehind()

    async def admit(
        self, candidates: Sequence[Candidate], hands: Taking, *, patiently: bool = False
    ) -> dict[Candidate, Admitted]:
        """Each candidate as a message to send, with a hand, or its disposition. Raises StoreError.

        Whose customer is locked, or who comes after one left so, is Undone: nobody waits for another's
        customer. `patiently`: they were left, and are waited for, beside other calls; StoreLocked if in vain.
        """
        admitted: dict[Candidate, Admitted] = {}
        for _ in range(_LOOKS):
            left = [item for item in candidates if item not in admitted]
            if not left:
                return admitted
            wanted = await self._look_up(left, admitted, hands)
            addressed = await self._address(wanted, admitted)
            await self._track(addressed, admitted, hands, patiently=patiently)
        if len(admitted) < len(candidates):
            raise StoreConflict("other replicas track these messages at the same time")
        return admitted

    async def _look_up(
        self, candidates: Sequence[Candidate], admitted: dict[Candidate, Admitted], hands: Taking
    ) -> list[_Wanted]:
        """Settle those with a row; returns the others."""
        replays = await self._store.find_replayed([item for item in candidates if item.is_replay])
        known = await self._store.find_known(candidates)
        wanted = []
        failed: dict[Candidate, UUID] = {}
        for item in candidates:
            replayed = replays.get(item)
            if replayed is not None and _is_to_repeat(replayed):
                wanted.append(_Wanted(item, known.customers.get(item), replayed))
            elif rows := ([replayed.known] if replayed else known.rows.get(item, [])):
                admitted[item] = _hand_or_later(judge_known(item, rows), hands)
                if has_failed_before(item, rows):
                    failed[item] = rows[0].id
            else:
                wanted.append(_Wanted(item, known.customers.get(item)))
        await self._bury(failed, admitted)
        return wanted

    async def _bury(self, failed: Mapping[Candidate, UUID], admitted: dict[Candidate, Admitted]) -> None:
        """Who wrote the failure may have ended before the message was among the dead."""
        if not failed:
            return
        unburied = await self._store.find_unburied(failed.values())
        for item, message_id in failed.items():
            if (how := unburied.get(message_id)) is None:
                continue
            if (reason := reason_of(how.code, how.http_status)) is not None:
                admitted[item] = Dead(reason, f"{how.code}: {how.text}", message_id=message_id)

    async def _address(
        self, wanted: Sequence[_Wanted], admitted: dict[Candidate, Admitted]
    ) -> list[_Addressed]:
        """To whom each goes; who cannot be addressed is settled."""
        customers = {item.candidate: item.customer for item in wanted if item.customer is not None}
        found = await self._book.look_up([item.candidate for item in wanted], customers)
        addressed: list[_Addressed] = []
        for item in wanted:
            target = found[item.candidate]
            if isinstance(target, Address | PersonAtNumber):
                addressed.append((item, target))
            else:
                admitted[item.candidate] = target
        return addressed

    async def _track(
        self,
        addressed: Sequence[_Addressed],
        admitted: dict[Candidate, Admitted],
        hands: Taking,
        *,
        patiently: bool,
    ) -> None:
        by_key: dict[str, list[_Addressed]] = {}
        for item, target in addressed:
            by_key.setdefault(mapping_lock_key(*_pair(target)), []).append((item, target))
        if patiently:
            async with aclosing(self._locks.rounds(tuple(by_key))) as rounds:
                async for lock_round in rounds:
                    ready = [entry for key in by_key if key in lock_round.keys for entry in by_key[key]]
                    await self._insert(await self._make(ready), admitted, hands)
            return
        left = by_key.keys() & self.left.customers
        if free := [key for key in by_key if key not in left]:
            async with self._locks.hold(free) as held:
                left |= held.taken
                ready = [entry for key in free if key not in held.taken for entry in by_key[key]]
                left |= await self._insert_free(await self._make(ready), admitted, hands)
        for key in left:
            for item, _ in by_key[key]:
                self.left.add(item.candidate.deliveries, key)
                admitted[item.candidate] = Undone(StoreLocked(_LOCKED))

    async def _insert_free(
        self, messages: Sequence[Fresh], admitted: dict[Candidate, Admitted], hands: Taking
    ) -> set[str]:
        """Make the rows of customers whose mapping nobody keeps locked; the keys of the others."""
        try:
            await self._insert(messages, admitted, hands)
        except StoreLocked:
            locked = await self._store.find_locked({item.address.mapping_id for item in messages})
            if not locked:
                raise
            free = [item for item in messages if item.address.mapping_id not in locked]
            await self._insert(free, admitted, hands)
            return {_key(item.address) for item in messages if item.address.mapping_id in locked}
        return set()

    async def _make(self, ready: Sequence[_Addressed]) -> list[Fresh]:
        destinations = [target for _, target in ready if isinstance(target, PersonAtNumber)]
        active, opened = await self._store.find_or_open(destinations)
        self._count_opened(opened)
        return [
            new_message(
                item.candidate,
                active[target.pair] if isinstance(target, PersonAtNumber) else target,
                item.replay_of.base_id if item.replay_of else None,
            )
            for item, target in ready
        ]

    async def _insert(
        self, messages: Sequence[Fresh], admitted: dict[Candidate, Admitted], hands: Taking
    ) -> None:
        """Make the rows, and put off who finds no hand. One that is not made is looked up again: its mapping
        may not be active any more."""
        if not messages:
            return
        going = {message.id for message in messages if hands.take(message)}
        try:
            tracked = await self._store.track(messages, [item for item in messages if item.id not in going])
        except StoreLocked:
            for message in messages:
                if message.id in going:
                    hands.give_back(message)
            raise
        for message in messages:
            if message.id in tracked.stored:
                admitted[message.candidate] = _PUT_OFF
            elif message.id in tracked.new:
                address = replace(message.address, customer=tracked.new[message.id])
                outgoing = to_outgoing(message.candidate, message.id, address)
                admitted[message.candidate] = outgoing if message.id in going else _later(outgoing)
            elif message.id in going:
                hands.give_back(message)
        await self._book.forget_hints(item for item in messages if item.id not in tracked.new)

    def _count_opened(self, opened: int) -> None:
        if opened:
            self._metrics.conversations_created.inc(opened)
            logger.info(
                "%d conversations opened by messages to customers",
                opened,
                extra=fields(operation=Operation.OUTBOUND_RESOLUTION),
            )


def judge_known(candidate: Candidate, rows: Sequence[KnownMessage]) -> Admitted:
    """What becomes of a message whose ids are known: the same again, or a contradiction."""
    known = rows[0]
    if len(rows) > 1 or known.content_hash not in (None, candidate.content_hash):
        return OTHER_CONTENT
    allowed = ("queued", "sent") if candidate.is_status_retry else ("queued",)
    if known.status not in allowed:
        return Repeated(known.id) if candidate.asks_for_echo else Ack()
    return to_outgoing(candidate, known.id, known.address)


def _hand_or_later(admitted: Admitted, hands: Taking) -> Admitted:
    if isinstance(admitted, Outgoing) and not hands.take(admitted):
        return _later(admitted)
    return admitted


def _later(message: Outgoing) -> Defer:
    """Its number has its share: it stands behind itself, so to say, until the number's rate lets it go."""
    return message.defer(EARLIER_MESSAGE, None)


def has_failed_before(candidate: Candidate, rows: Sequence[KnownMessage]) -> bool:
    """Whether it is redelivered, and its failure was written before."""
    redelivered = any(delivery.redelivered for delivery in candidate.deliveries)
    return (
        redelivered
        and rows[0].status == "failed"
        and isinstance(judge_known(candidate, rows), Ack | Repeated)
    )


def to_outgoing(candidate: Candidate, message_id: UUID, address: Address) -> Outgoing:
    """The message to send."""
    return Outgoing(
        delivery=candidate.first,
        copies=tuple(candidate.deliveries[1:]),
        payload=candidate.payload,
        id=message_id,
        mapping_id=address.mapping_id,
        number=address.number,
        customer=address.customer,
        lane=candidate.lane,
        trace_id=correlation_of(candidate.first),
        is_replay=candidate.is_replay,
        is_status_retry=candidate.is_status_retry,
    )


def _is_to_repeat(replayed: Replayed) -> bool:
    """The message failed, and no copy of this replay was here before."""
    return replayed.base_status == "failed" and replayed.known.id == replayed.base_id


def _key(address: Address) -> str:
    return mapping_lock_key(*_pair(address))


def _pair(target: Target) -> tuple[str, str]:
    return target.number, target.customer
