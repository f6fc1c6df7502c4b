"""To whom each candidate goes: a conversation that is known, or a customer of a number.

Owns what a conversation's id names, by the cache and by the database, and what becomes of a candidate whose
conversation cannot be written to. Opens no mapping and locks nothing: that is `admission`'s.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from shared.amqp.disposition import Dead, Retry
from shared.amqp.headers import correlation_of
from shared.coordination.keys import conversation_key
from shared.messaging.conversations.cache import CachedMapping, MappingCache
from shared.messaging.customers.notation import platform_notation
from shared.observability.metrics import Metrics
from shared.reasons import DeadReason
from workers.outbound_sender.intake.candidates import Candidate
from workers.outbound_sender.intake.store import Address, Fresh, IntakeStore, PersonAtNumber
from workers.outbound_sender.message import Unaddressed

Target: TypeAlias = Address | PersonAtNumber
#: What becomes of a candidate that cannot be addressed.
Unaddressable: TypeAlias = Dead | Retry | Unaddressed

_NO_MAPPING = Retry(
    "mapping_not_found", "no conversation of that id", exhausted=DeadReason.MAPPING_NOT_FOUND, attempts=3
)


class AddressBook:
    """Finds addresses, for all lanes."""

    def __init__(
        self, store: IntakeStore, cache: MappingCache, metrics: Metrics, default_number: str
    ) -> None:
        self._store = store
        self._cache = cache
        self._metrics = metrics
        self._default_number = default_number

    async def look_up(
        self, candidates: Sequence[Candidate], customers: Mapping[Candidate, str]
    ) -> dict[Candidate, Target | Unaddressable]:
        """Where each goes, or what becomes of it instead. Raises StoreError.

        `customers`: whose the addresses are of those that name one.
        """
        payloads = [item.payload for item in candidates]
        conversations = await self._find_conversations(
            {payload.conversation_id for payload in payloads} - {None}
        )
        numbers = await self._store.find_numbers(
            customers[item]
            for item in candidates
            if item.payload.conversation_id is None and item.payload.phone_number_id is None
        )
        return {item: self._judge(item, customers.get(item), conversations, numbers) for item in candidates}

    async def forget_hints(self, left: Iterable[Fresh]) -> None:
        """Those of their mappings that the cache named may not be active any more."""
        conversations = {item.candidate.payload.conversation_id for item in left if item.address.hinted}
        await self._cache.remove_many([conversation_key(name) for name in conversations if name is not None])

    def _judge(
        self,
        candidate: Candidate,
        customer: str | None,
        conversations: dict[str, Address],
        numbers: dict[str, str],
    ) -> Target | Unaddressable:
        payload = candidate.payload
        if payload.conversation_id is None:
            assert payload.wa_id is not None
            assert customer is not None
            number = payload.phone_number_id or numbers.get(customer, self._default_number)
            return PersonAtNumber(number, customer, payload.wa_id)
        verdict = judge_conversation(conversations.get(payload.conversation_id))
        if isinstance(verdict, Retry) and candidate.first.attempt == 1:
            trace_id = correlation_of(candidate.first)
            return Unaddressed(payload, customer, candidate.content_hash, trace_id, verdict)
        return verdict

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
            CachedMapping(address.mapping_id, address.wa_id, address.number, name)
            for name, address in stored.items()
            if address.status == "active" and address.conversation_id == name
        )
        self._metrics.mapping_resolution_duration.labels("outbound", "false" if missing else "true").observe(
            time.perf_counter() - started
        )
        return found | stored


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


def _hint(mapping: CachedMapping) -> Address:
    """Whose it is, the row says when the message is tracked; until then it is the address's."""
    return Address(
        mapping.mapping_id,
        mapping.phone_number_id,
        platform_notation(mapping.wa_id),
        mapping.wa_id,
        mapping.conversation_id,
        hinted=True,
    )
