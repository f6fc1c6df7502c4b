"""Agents, simulated: they answer conversations, close some, and make the mistakes that agent platforms make.

Owns what is said in a conversation once it is open. Each reply is recorded before it is published.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from uuid import uuid4

from deploy.demo.customers import Customer
from deploy.demo.echo import Echo
from deploy.demo.invariants.evidence import ExpectedDeath, ReplySent
from deploy.demo.record import Record, now_s
from deploy.demo.wire import Publishing
from shared.amqp.topology import CORRELATION, OUTBOUND

_REPEATED_SHARE: Final = 0.04
#: So many conversations are answered before the cluster can know of them, and so at its second try.
_HASTY: Final = 20
#: So many closed conversations are answered once more, too late …
_LATE_REPLIES: Final = 10
#: … and in so many the platform contradicts itself before.
_CONTRADICTIONS: Final = 3
#: So long a reply behind a firewall is worth sending, in seconds.
_BLOCKED_S: Final = 15


@dataclass(frozen=True, slots=True)
class Conversation:
    """An open conversation, and the message that opened it."""

    id: str
    customer: Customer
    wamid: str


class Agents:
    """They `take` each new conversation of a customer whom they `know`; the task group does the work."""

    def __init__(
        self,
        wire: Publishing,
        record: Record,
        echo: Echo,
        seed: int,
        group: asyncio.TaskGroup,
    ) -> None:
        self._wire = wire
        self._record = record
        self._echo = echo
        self._customers: dict[str, Customer] = {}
        self._seed = seed
        self._group = group
        self._hasty = 0
        self._closed = 0
        self._at_work: set[asyncio.Task[None]] = set()

    @property
    def at_work(self) -> int:
        """How many conversations are being answered."""
        return len(self._at_work)

    def know(self, customers: Iterable[Customer]) -> None:
        """Serve these, too. Each is known by what they write, for an address may change hands."""
        self._customers |= {
            name: customer
            for customer in customers
            for name in (*customer.addresses, *(incoming.wamid for incoming in customer.incoming))
        }

    def take(self, conversation_id: str, wa_id: str, wamid: str) -> None:
        """Work on a new conversation of a customer."""
        customer = self._customers.get(wamid) or self._customers[wa_id]
        conversation = Conversation(conversation_id, customer, wamid)
        serving = self._serve(conversation)
        try:
            task = self._group.create_task(serving, name="agent")
        except RuntimeError:  # the day is being ended: nobody serves it, of which Python need not warn
            serving.close()
            return
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    def stop(self) -> None:
        """Give up what is still waited for."""
        for task in self._at_work:
            task.cancel()

    async def _serve(self, conversation: Conversation) -> None:
        """One reply after the other; then the end, where this customer has one."""
        customer = conversation.customer
        random = Random(f"{self._seed} {conversation.wamid}")  # noqa: S311 - repeatable, not secret
        reply: dict[str, Any] = {}
        is_hasty = customer.is_plain and not customer.at_once and self._hasty < _HASTY
        self._hasty += is_hasty
        if not is_hasty:
            await self._echo.wait("conversation.correlated", conversation.id)
        for n in range(customer.replies):
            await asyncio.sleep(0 if is_hasty or customer.at_once else random.uniform(0.4, 2.0))
            reply = await self._reply(conversation, f"Answer {n} to {conversation.wamid}")
            if customer.is_plain and not is_hasty:
                self._record.plain_replies.add(reply["genesys_message_id"])
            if random.random() < _REPEATED_SHARE:
                await self._publish(conversation, reply)
                self._record.reply_copies += 1
        if customer.closes and conversation.wamid == customer.incoming[0].wamid:
            await self._echo.wait("outbound.sent", reply["genesys_message_id"])
            await self._close(conversation, reply)

    async def _close(self, conversation: Conversation, reply: Mapping[str, Any]) -> None:
        """Close a conversation whose reply is out; in some of them go wrong before and after."""
        place, self._closed = self._closed, self._closed + 1
        if place < _CONTRADICTIONS:
            await self._contradict(conversation, reply)
        await self._wire.publish(CORRELATION, "genesys.closed", {"conversation_id": conversation.id})
        self._record.closed.append(conversation.id)
        await self._echo.wait("conversation.closed", conversation.id)
        if place < _LATE_REPLIES:
            late = self._text(conversation, f"Too late for {conversation.wamid}")
            self._expect(
                "a reply to a closed conversation",
                "mapping_status_closed",
                await self._publish(conversation, late),
            )

    async def _contradict(self, conversation: Conversation, reply: Mapping[str, Any]) -> None:
        other = await self._publish(conversation, {**reply, "message_text": "Something else"})
        self._expect("a reply's id with other content", "state_violation", other)
        again = {
            "conversation_id": str(uuid4()),
            "communication_id": str(uuid4()),
            "whatsapp_message_id": conversation.wamid,
        }
        body = await self._wire.publish(CORRELATION, "genesys", again)
        self._expect("another conversation for the same message", "state_violation", body)
        expired = {**self._text(conversation, "Yesterday's news"), "expires_at": int(time.time()) - 60}
        self._expect("a reply that has expired", "expired", await self._publish(conversation, expired))
        await self._echo.wait("outbound.failed", expired["genesys_message_id"])

    async def _reply(self, conversation: Conversation, text: str) -> dict[str, Any]:
        reply = self._text(conversation, text)
        reply_id, customer = reply["genesys_message_id"], conversation.customer
        self._record.replies[reply_id] = ReplySent(reply_id, now_s(), customer.is_refused)
        if customer.is_blocked:
            reply["expires_at"] = int(time.time()) + _BLOCKED_S
        body = await self._publish(conversation, reply)
        if customer.reply_dies_of is not None:
            self._expect(f"a reply to a recipient {customer.wa_id[-3:]}", customer.reply_dies_of, body)
        return reply

    def _text(self, conversation: Conversation, text: str) -> dict[str, Any]:
        return {
            "conversation_id": conversation.id,
            "genesys_message_id": str(uuid4()),
            "message_text": text,
        }

    async def _publish(self, conversation: Conversation, reply: Mapping[str, Any]) -> bytes:
        return await self._wire.publish(OUTBOUND, f"reply.{conversation.id}", reply)

    def _expect(self, what: str, reason: str, body: bytes) -> None:
        self._record.deaths.append(ExpectedDeath(what, body, reason))
