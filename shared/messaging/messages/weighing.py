"""What a judgement of failed messages needs to know of others, read before it is made.

Owns which failures are weighed, and naming the variable that one is about. The judgement itself is pure.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.judged import HeardMessage
from shared.messaging.messages.message_store import find_addressing
from shared.messaging.messages.scopes import WEIGHED
from shared.messaging.messages.sightings import Sighting, failure_of
from shared.messaging.messages.states import Direction
from shared.messaging.messages.values import OWN_SOURCE
from shared.messaging.messages.variables import name_variables
from shared.messaging.numbers.holds import read_evidence, read_templates
from shared.postgres.database import Connection


async def weigh(connection: Connection, heard: Sequence[HeardMessage]) -> Sequence[HeardMessage]:
    """The same with the evidence on their failures; reads nothing where none failed."""
    weighed = {item.message.id: failed for item in heard if (failed := _weighed(item)) is not None}
    if not weighed:
        return heard
    failures = [failure_of(message_id, failed) for message_id, failed in weighed.items()]
    evidence = await read_evidence(connection, failures, by_status=True)
    parameters = [item.message_id for item in failures if item.error_class is ErrorClass.PARAMETER]
    addressing = await find_addressing(connection, parameters)
    bodies = {message_id: to.body for message_id, to in addressing.items()}
    templates = await read_templates(connection, parameters)
    return [
        HeardMessage(
            one.message,
            [
                _name(item, bodies.get(one.message.id), templates.get(one.message.id))
                for item in one.sightings
            ],
            replace(one.background, evidence=evidence.get(one.message.id, one.background.evidence)),
        )
        for one in heard
    ]


def _weighed(heard: HeardMessage) -> Sighting | None:
    """The failure of a message's latest attempt that others have a part in, if it is one."""
    if heard.message.direction is Direction.INBOUND or not heard.background.attempts:
        return None
    failed = [
        item
        for item in heard.sightings
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
