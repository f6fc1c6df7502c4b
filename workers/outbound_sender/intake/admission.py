"""The intake of a batch: each candidate's row, found or made, or what becomes of it instead.

Owns the order of steps: repetitions first, then the address, then the row, under the customers' locks. Asks
the Cloud API nothing. Everything is idempotent, so a batch may be admitted again after an error.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from shared.amqp.disposition import Ack, Dead, Defer, Retry, Undone
from shared.amqp.headers import correlation_of
from shared.coordination.keys import conversation_key, mapping_lock_key
from shared.coordination.locks import LockManager
from shared.errors import StoreConflict, StoreLocked
from shared.messaging.conversations.cache import CachedMapping, MappingCache
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.reasons import DeadReason
from workers.outbound_sender.calling.reactions import reason_of
from workers.outbound_sender.intake.candidates import OTHER_CONTENT, Candidate
from workers.outbound_sender.intake.left_behind import LeftBehind
from workers.outbound_sender.intake.shares import Taking
from workers.outbound_sender.intake.store import (
    Address,
    Fresh,
    IntakeStore,
    KnownMessage,
    Replayed,
    new_message,
)
from workers.outbound_sender.message import EARLIER_MESSAGE, Outgoing

logger = get_logger(__name__)

#: Looks at a batch whose rows other replicas make at the same time.
_LOOKS = 3
_NO_MAPPING = Retry(
    "mapping_not_found", "no conversation of that id", exhausted=DeadReason.MAPPING_NOT_FOUND, attempts=3
)
#: Tracked and put off in one transaction.
_PUT_OFF = Defer(EARLIER_MESSAGE, 0, is_stored=True)

_LOCKED = "another session or process keeps its customer locked"

Admitted: TypeAlias = Outgoing | Ack | Dead | Retry | Defer | Undone


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A candidate without a row, and the failed message that it repeats."""

    candidate: Candidate
    replay_of: Replayed | None = None


_Addressed: TypeAlias = tuple[_Wanted, Address | tuple[str, str]]


class Admission:
    """Admits candidates, for all lanes."""

    def __init__(
        self,
        store: IntakeStore,
        locks: LockManager,
        cache: MappingCache,
        metrics: Metrics,
        default_number: str,
    ) -> None:
        self._store = store
        self._locks = locks
        self._cache = cache
        self._metrics = metrics
        self._default_number = default_number
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
        others = [item for item in candidates if item not in replays]
        known = await self._store.find_known(others)
        wanted = []
        failed: dict[Candidate, UUID] = {}
        for item in candidates:
            replayed = replays.get(item)
            if replayed is not None and _is_to_repeat(replayed):
                wanted.append(_Wanted(item, replayed))
            elif rows := ([replayed.known] if replayed else known.get(item, [])):
                admitted[item] = _hand_or_later(judge_known(item, rows), hands)
                if has_failed_before(item, rows):
                    failed[item] = rows[0].id
            else:
                wanted.append(_Wanted(item))
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
        """To whom each goes: a mapping, or (number, customer) where any active mapping will do."""
        payloads = [item.candidate.payload for item in wanted]
        conversations = await self._find_conversations(
            {payload.conversation_id for payload in payloads} - {None}
        )
        numbers = await self._store.find_numbers(
            payload.wa_id for payload in payloads if payload.wa_id and payload.phone_number_id is None
        )
        addressed: list[_Addressed] = []
        for item in wanted:
            payload = item.candidate.payload
            if payload.conversation_id is None:
                assert payload.wa_id is not None
                number = payload.phone_number_id or numbers.get(payload.wa_id, self._default_number)
                addressed.append((item, (number, payload.wa_id)))
                continue
            verdict = judge_conversation(conversations.get(payload.conversation_id))
            if isinstance(verdict, Address):
                addressed.append((item, verdict))
            else:
                admitted[item.candidate] = verdict
        return addressed

    async def _find_conversations(self, asked: Iterable[str | None]) -> dict[str, Address]:
        """By the cache, which is a hint, else by the database."""
        started = time.perf_counter()
        keys = {conversation_key(name): name for name in asked if name is not None}
        if not keys:
            return {}
        cached = await self._cache.get_many(tuple(keys))
        found = {keys[key]: _hint(mapping) for key, mapping in cached.items()}
        missing = [name for name in keys.values() if name not in found]
        stored = await self._store.find_conversations(missing)
        await self._cache.set_many(
            CachedMapping(address.mapping_id, address.customer, address.number, name)
            for name, address in stored.items()
            if address.status == "active" and address.conversation_id == name
        )
        self._metrics.mapping_resolution_duration.labels("outbound", "false" if missing else "true").observe(
            time.perf_counter() - started
        )
        return found | stored

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
        pairs = [target for _, target in ready if isinstance(target, tuple)]
        active, opened = await self._store.find_or_open(pairs)
        self._count_opened(opened)
        return [
            new_message(
                item.candidate,
                active[target] if isinstance(target, tuple) else target,
                item.replay_of.base_id if item.replay_of else None,
            )
            for item, target in ready
        ]

    async def _insert(
        self, messages: Sequence[Fresh], admitted: dict[Candidate, Admitted], hands: Taking
    ) -> None:
        """Make the rows, and put off who finds no hand. One that is not made is looked up again, or its hint
        was stale."""
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
                outgoing = to_outgoing(message.candidate, message.id, message.address)
                admitted[message.candidate] = outgoing if message.id in going else _later(outgoing)
            elif message.id in going:
                hands.give_back(message)
        await self._forget_hints([item for item in messages if item.id not in tracked.new])

    async def _forget_hints(self, left: Sequence[Fresh]) -> None:
        conversations = {item.candidate.payload.conversation_id for item in left if item.address.hinted}
        await self._cache.remove_many([conversation_key(name) for name in conversations if name is not None])

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
        return Ack()
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
    return redelivered and rows[0].status == "failed" and judge_known(candidate, rows) == Ack()


def judge_conversation(address: Address | None) -> Address | Dead | Retry:
    """Whether a conversation can be written to. An unknown one may be on its way."""
    match address:
        case None:
            return _NO_MAPPING
        case Address(status="expired"):
            return Dead(DeadReason.MAPPING_STATUS_EXPIRED, "the conversation has expired")
        case Address(status="closed"):
            return Dead(DeadReason.MAPPING_STATUS_CLOSED, "the conversation was closed")
        case _:
            return address


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


def _hint(mapping: CachedMapping) -> Address:
    return Address(
        mapping.mapping_id, mapping.phone_number_id, mapping.wa_id, mapping.conversation_id, hinted=True
    )


def _key(address: Address) -> str:
    return mapping_lock_key(*_pair(address))


def _pair(target: Address | tuple[str, str]) -> tuple[str, str]:
    return target if isinstance(target, tuple) else (target.number, target.customer)
