"""What wabus takes and tells, as one AsyncAPI 3 document: `python -m deploy.asyncapi`.

Owns the routes that others use and the form of `schema/asyncapi.json`. Exchanges are the topology's, payloads
those of `schema/payloads/`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from shared.amqp.delivery import ECHO
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import (
    BROADCAST,
    CORRELATION,
    EVENTS,
    INBOUND,
    LANES,
    OUTBOUND,
    SHOP,
    SHOP_FACTS,
    STATUS,
    VIEW,
)
from shared.payloads.schemas import EVENTS_OUT, FOLDER, build_schemas
from shared.version import VERSION

FILE: Final = FOLDER.parent / "asyncapi.json"

Document = dict[str, Any]

_DESCRIPTION: Final = (
    "RabbitMQ workers that carry WhatsApp traffic for contact centres. Every exchange is a durable topic"
    " exchange; a channel's address is the routing key. deploy/connect.md says the same for people."
)
#: What a routing key names beside its words.
_PARAMETERS: Final = {
    "wa_id": "The customer: digits of the phone, or the business-scoped id.",
    "key": "The conversation's id or the customer's wa_id.",
}


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """A routing key of an exchange, `{name}` for what differs from message to message."""

    exchange: str
    routing_key: str

    @property
    def payload(self) -> str:
        """Name of what travels there."""
        return payload_name(self.exchange, self.routing_key)

    @property
    def channel(self) -> str:
        """Its name in the document, of the letters that a reference may have."""
        words = [self.exchange, *self.routing_key.split(".")]
        return ".".join(word for word in words if "{" not in word)


#: What others publish.
ROUTES_IN: Final = (
    PublicRoute(INBOUND, "{wa_id}"),
    *(PublicRoute(OUTBOUND, f"{lane}.{{key}}") for lane in LANES.values()),
    PublicRoute(STATUS, "whatsapp"),
    PublicRoute(STATUS, "genesys"),
    PublicRoute(CORRELATION, "genesys"),
    PublicRoute(CORRELATION, "genesys.closed"),
    PublicRoute(BROADCAST, "campaign.launch"),
    PublicRoute(BROADCAST, "campaign.pause"),
    PublicRoute(BROADCAST, "campaign.resume"),
    PublicRoute(BROADCAST, "campaign.cancel"),
    *(PublicRoute(SHOP, key) for key in (*SHOP_FACTS, VIEW)),
)
#: What the cluster tells.
ROUTES_OUT: Final = (
    *(PublicRoute(EVENTS, model.EVENT_TYPE) for model in EVENTS_OUT),
    PublicRoute(EVENTS, "outbound.failed"),
)


def build_document() -> Document:
    """The document. Deterministic: the same topology and models give the same."""
    routes = (*ROUTES_IN, *ROUTES_OUT)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "wabus", "version": VERSION, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": {"host": "localhost:5672", "protocol": "amqp", "protocolVersion": "0.9.1"}},
        "channels": {route.channel: _channel(route) for route in routes},
        "operations": {
            **{f"take.{route.channel}": _operation(route, "receive") for route in ROUTES_IN},
            **{f"tell.{route.channel}": _operation(route, "send") for route in ROUTES_OUT},
        },
        "components": {
            "messages": {
                **{route.payload: _message(route, _headers_in(route)) for route in ROUTES_IN},
                **{route.payload: _message(route, _TOLD) for route in ROUTES_OUT},
            },
            "schemas": dict(_schemas()),
        },
    }


def _channel(route: PublicRoute) -> Document:
    exchange = {"name": route.exchange, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}
    parameters = {
        name: {"description": text}
        for name, text in _PARAMETERS.items()
        if f"{{{name}}}" in route.routing_key
    }
    return {
        "address": route.routing_key,
        "messages": {route.payload: {"$ref": f"#/components/messages/{route.payload}"}},
        **({"parameters": parameters} if parameters else {}),
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}},
    }


def _operation(route: PublicRoute, action: str) -> Document:
    channel = f"#/channels/{route.channel}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{route.payload}"}],
        "bindings": {
            "amqp": {"deliveryMode": 2, "mandatory": action == "receive", "bindingVersion": "0.3.0"}
        },
    }


def _message(route: PublicRoute, headers: Document) -> Document:
    schema = f"#/components/schemas/{route.payload}"
    return {"name": route.payload, "headers": headers, "payload": {"$ref": schema}}


_TRACEPARENT: Final[Document] = {"type": "string", "description": "W3C Trace Context, carried through."}
_TRACED: Final[Document] = {"type": "object", "properties": {"traceparent": _TRACEPARENT}}
_ECHO: Final[Document] = {
    "type": "boolean",
    "description": "True: should this be a repetition, how the first one ended is told again.",
}
_TOLD: Final[Document] = {
    "type": "object",
    "properties": {
        "traceparent": _TRACEPARENT,
        "x-idempotency-key": {"type": "string", "description": "The same for each repetition."},
    },
    "required": ["traceparent", "x-idempotency-key"],
}


def _headers_in(route: PublicRoute) -> Document:
    if route.exchange != OUTBOUND:
        return _TRACED
    return _TRACED | {"properties": _TRACED["properties"] | {ECHO: _ECHO}}


def _schemas() -> Iterator[tuple[str, Document]]:
    """Every payload and part of one by its name, which means the same wherever it is used."""
    for name, schema in build_schemas().items():
        parts = schema.pop("$defs", {})
        whole = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
        for part, value in {name: whole, **parts}.items():
            text = json.dumps(value).replace('"#/$defs/', '"#/components/schemas/')
            yield part, json.loads(text)


def write_document() -> str:
    """Its text as it stands on file."""
    return json.dumps(build_document(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(write_document(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")


if __name__ == "__main__":
    main()
