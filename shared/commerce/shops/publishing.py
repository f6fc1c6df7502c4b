"""Recorded webhooks, line by line, onto `wa.shop`: what a gateway would publish of each.

Owns the form of a line and its check: nothing is published of a file that has a line that is none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from shared.amqp.broker import Publisher
from shared.amqp.delivery import Publication
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import SHOP, SHOP_FACTS, VIEW
from shared.commerce.shops import shopify, woocommerce
from shared.commerce.shops.webhooks import ShopFactTold, ShopWebhook, UnreadableWebhook
from shared.errors import WabusError
from shared.ids import random_hex, random_uuid
from shared.payloads import InvalidPayload, decode
from shared.payloads.fields import parse_event_time
from shared.payloads.schemas import PAYLOADS_IN

_MODELS: Final = {model.__name__: model for model in PAYLOADS_IN}
_KEYS: Final = (*SHOP_FACTS, VIEW)
#: Publications that are confirmed together.
_TOGETHER: Final = 200
_READERS: Final[Mapping[str, tuple[str, Callable[[ShopWebhook], list[ShopFactTold]]]]] = {
    "woocommerce": (woocommerce.TOPIC, woocommerce.read_woocommerce),
    "shopify": (shopify.TOPIC, shopify.read_shopify),
}
WABUS: Final = "wabus"
PLATFORMS: Final = (*_READERS, WABUS)


class WebhookFileError(WabusError):
    """A line is none; the text says which and why."""


@dataclass(frozen=True, slots=True)
class RecordedFacts:
    """What a file says. `lines`: how many it has; `silent`: those that are no fact."""

    facts: Sequence[ShopFactTold]
    lines: int
    silent: int


def read_recorded(path: Path, platform: str, *, shop_id: str, currency: str | None) -> RecordedFacts:
    """All of a file. Raises WebhookFileError.

    A line is `{"headers": {…}, "received_at": …, "body": {…}}` of a platform's delivery, or for `wabus`
    `{"key": "cart.updated", "body": {…}}`.
    """
    facts: list[ShopFactTold] = []
    lines = silent = 0
    for number, line in _lines(path):
        lines += 1
        try:
            told = _read(line, platform, shop_id, currency)
            for fact in told:
                decode(_MODELS[payload_name(SHOP, fact.routing_key)], orjson.dumps(fact.fields))
        except (UnreadableWebhook, InvalidPayload) as error:
            raise WebhookFileError(f"{path}:{number}: {error}") from error
        silent += not told
        facts += told
    return RecordedFacts(facts, lines, silent)


async def publish_facts(publisher: Publisher, facts: Sequence[ShopFactTold]) -> int:
    """Publish and wait for every confirm; returns how many. Raises BrokerError for the first that failed."""
    for start in range(0, len(facts), _TOGETHER):
        part = [_publication(fact) for fact in facts[start : start + _TOGETHER]]
        for error in await publisher.publish(part):
            if error is not None:
                raise error
    return len(facts)


def _publication(fact: ShopFactTold) -> Publication:
    return Publication(
        exchange=SHOP,
        routing_key=fact.routing_key,
        body=orjson.dumps(fact.fields),
        type=payload_name(SHOP, fact.routing_key),
        idempotency_key=str(random_uuid()),
        correlation_id=random_hex(16),
        mandatory=True,
    )


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WebhookFileError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise WebhookFileError(f"{path}:{number}: no JSON: {error}") from error
        if not isinstance(value, Mapping) or not isinstance(value.get("body"), Mapping):
            raise WebhookFileError(f"{path}:{number}: no JSON object with an object `body`")
        yield number, value


def _read(line: Mapping[str, Any], platform: str, shop_id: str, currency: str | None) -> list[ShopFactTold]:
    if platform == WABUS:
        key = line.get("key")
        if key not in _KEYS:
            raise UnreadableWebhook(f"key is none of {', '.join(_KEYS)}")
        return [ShopFactTold(key, {"shop_id": shop_id, **line["body"]})]
    topic_header, reader = _READERS[platform]
    headers = {str(name): str(value) for name, value in (line.get("headers") or {}).items()}
    webhook = ShopWebhook("", line["body"], headers, _time(line.get("received_at")), shop_id, currency)
    topic = webhook.header(topic_header)
    if topic is None:
        raise UnreadableWebhook(f"the header {topic_header} is missing")
    return reader(ShopWebhook(topic, line["body"], headers, webhook.received_at, shop_id, currency))


def _time(value: object) -> datetime | None:
    try:
        return None if value is None else parse_event_time(value)
    except ValueError as error:
        raise UnreadableWebhook(f"received_at: {error}") from error
