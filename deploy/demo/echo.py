"""What the cluster tells of messages and conversations (`wa.events`), for agents who wait for it.

Owns a private queue of events and who waits for which.
"""

import asyncio
from collections import Counter
from typing import Any, Final

import orjson

from deploy.demo.wire import Wire
from shared.amqp.topology import EVENTS

#: Events that somebody may wait for, and the field that says whom they are about.
_SUBJECTS: Final = {
    "outbound.sent": "genesys_message_id",
    "outbound.failed": "genesys_message_id",
    "conversation.correlated": "conversation_id",
    "conversation.closed": "conversation_id",
    "campaign.updated": "campaign_id",
    "customer.merged": "merged",
}


class Echo:
    """Hears events from `run` on. `heard` counts them by name."""

    def __init__(self, heard: Counter[str]) -> None:
        self._heard = heard
        self._told: dict[tuple[str, str], asyncio.Event] = {}
        self.is_listening = asyncio.Event()

    async def run(self, wire: Wire) -> None:
        """Hear events until cancelled."""
        async with wire.heard(EVENTS, _SUBJECTS) as messages:
            self.is_listening.set()
            async for message in messages:
                self.hear(message.routing_key or "", message.body)

    async def wait(self, event_type: str, subject: str) -> None:
        """Wait until this event was told of this subject."""
        await self._event(event_type, subject).wait()

    def awaited(self) -> list[tuple[str, str, str]]:
        """What somebody waited for and was never told: the event, the field of its subject, the subject."""
        return [
            (event_type, _SUBJECTS[event_type], subject)
            for (event_type, subject), event in self._told.items()
            if not event.is_set()
        ]

    def hear(self, event_type: str, body: bytes) -> None:
        """An event was told."""
        self._heard[event_type] += 1
        subject = _SUBJECTS.get(event_type)
        payload: dict[str, Any] = orjson.loads(body) if subject else {}
        if subject and payload.get(subject):
            self._event(event_type, payload[subject]).set()

    def _event(self, event_type: str, subject: str) -> asyncio.Event:
        return self._told.setdefault((event_type, subject), asyncio.Event())
