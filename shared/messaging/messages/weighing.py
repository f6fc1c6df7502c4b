"""What a judgement of failed messages needs to know of others, read before it is made.

Owns which failures are weighed, and naming the variable that one is about. The judgement itself is pure.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import orjson

from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.judgement import Background, Message
from shared.messaging.messages.message_store import find_addressing
from shared.messaging.messages.scopes import WEIGHED
from shared.messaging.messages.sightings import Sighting, failure_of
from shared.messaging.messages.states import Direction
from shared.messaging.messages.values import OWN_SOURCE
from shared.messaging.messages.variables import name_variables
from shared.messaging.numbers.holds import read_evidence, read_templates
from shared.postgres.database import Connection

#: A message, the events that came for it, and what is stored of it.
Heard: TypeAlias = tuple[Message, Sequence[Sighting], Background]


async def weigh(connection: Connection, heard: Sequence[Heard]) -> list[Heard]:
    """The same with the evidence on their failures; reads nothing where none failed."""
    weighed = {item[0].id: failed for item in heard if (failed := _weighed(item)) is not None}
    if not weighed:
        return list(heard)
    failures = [failure_of(message_id, failed) for message_id, failed in weighed.items()]
    evidence = await read_evidence(connection, failures, by_status=True)
    parameters = [item.message_id for item in failures if item.error_class is ErrorClass.PARAMETER]
    addressing = await find_addressing(connection, parameters)
    bodies = {message_id: to.body for message_id, to in addressing.items()}
    templates = await read_templates(connection, parameters)
    return [
        (
            message,
            [_name(item, bodies.get(message.id), templates.get(message.id)) for item in sightings],
            replace(background, evidence=evidence.get(message.id, background.evidence)),
        )
        for message, sightings, background in heard
    ]


def _weighed(heard: Heard) -> Sighting | None:
    """The failure of a message's latest attempt that others have a part in, if it is one."""
    message, sightings, background = heard
    if message.direction is Direction.INBOUND or not background.attempts:
        return None
    failed = [
        item
        for item in sightings
        if item.is_failure and item.event.source != OWN_SOURCE and item.error_class in WEIGHED
    ]
    return max(failed, key=lambda item: item.attempt, default=None)


def _name(item: Sighting, body: bytes | None, unfilled: object) -> Sighting:
    """With the variable that a refused parameter is about."""
    if body is None or not item.is_failure or item.error_class is not ErrorClass.PARAMETER:
        return item
    named = name_variables(item.error_code or "", item.error_message or "", _components(body), unfilled)
    return replace(item, variable=named)


def _components(body: bytes) -> list[dict[str, Any]]:
    """Of the template in a message's body, which was valid when it was accepted."""
    template = orjson.loads(body).get("template") or {}
    return template.get("components") or []
