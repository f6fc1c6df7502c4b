"""Messages that nobody can work, as real publishers make them, each with the reason it must die of. Pure."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from deploy.demo.day import CAMPAIGN_ID, NUMBERS
from shared.amqp.topology import BROADCAST, CORRELATION, INBOUND, OUTBOUND, STATUS

_NOBODY: Final = "491799990001"
_OVERSIZED: Final = 1_200_000


@dataclass(frozen=True, slots=True)
class Poison:
    """What is published where, and what it must be in the dead letters."""

    what: str
    reason: str
    exchange: str
    routing_key: str
    body: bytes


def make_poison(tracked_wamid: str) -> list[Poison]:
    """All of it; `tracked_wamid` is an inbound message that was tracked by then. No two bodies are alike."""
    return [*_inbound(), *_outbound(), *_others(tracked_wamid)]


def _inbound() -> list[Poison]:
    def poison(what: str, body: bytes, reason: str = "invalid_payload") -> Poison:
        return Poison(what, reason, INBOUND, _NOBODY, body)

    return [
        poison("a body that is cut off", b'{"wamid": "wamid.cut", "wa_id": "4917'),
        poison("an empty body", b""),
        poison("a list in place of an object", b"[1, 2, 3]"),
        poison("bytes that are not UTF-8", b'{"wamid": "\xff\xfe"}'),
        poison("nesting without an end", b"[" * 5000),
        poison("a body above the limit", orjson.dumps(_message("huge", message_text="x" * _OVERSIZED))),
        poison("no wa_id", orjson.dumps({"wamid": "wamid.nobody", "timestamp": 1_700_000_000})),
        poison("a wamid that is a number", orjson.dumps(_message("number", wamid=7))),
        poison("a time before WhatsApp", orjson.dumps(_message("old", timestamp="1999-12-31T23:59:59Z"))),
        poison("a NUL in an id", orjson.dumps(_message("nul", wamid="wamid.poison.\0"))),
        poison("a media URL of a file", _media("file", "file:///etc/passwd"), "invalid_media_url"),
        poison("a media URL of this machine", _media("local", "http://127.0.0.1/x.jpg"), "invalid_media_url"),
        poison(
            "a media URL of a private host", _media("private", "https://10.0.0.8/x.jpg"), "invalid_media_url"
        ),
    ]


def _outbound() -> list[Poison]:
    reply = {"wa_id": _NOBODY, "phone_number_id": NUMBERS[0], "message_text": "hello"}

    def poison(what: str, payload: dict[str, Any]) -> Poison:
        return Poison(what, "invalid_payload", OUTBOUND, f"reply.{_NOBODY}", orjson.dumps(payload))

    return [
        poison("a reply without an id", reply),
        poison(
            "a reply with two contents",
            reply | {"client_message_id": "two", "location": {"latitude": 1, "longitude": 2}},
        ),
        poison("a reply to nobody", {"client_message_id": "nobody", "message_text": "hello"}),
        Poison(
            "a lane that does not exist",
            "unrouted",
            OUTBOUND,
            f"pigeon.{_NOBODY}",
            orjson.dumps(reply | {"client_message_id": "pigeon"}),
        ),
    ]


def _others(tracked_wamid: str) -> list[Poison]:
    impossible = {"wamid": tracked_wamid, "status": "delivered", "timestamp": 1_700_000_000}
    other_campaign = {
        "campaign_id": CAMPAIGN_ID,
        "phone_number_id": NUMBERS[0],
        "message_text": "Another offer",
    }
    return [
        Poison(
            "a status without a time", "invalid_payload", STATUS, "whatsapp", b'{"wamid":"w","status":"read"}'
        ),
        Poison(
            "a status of no message",
            "invalid_payload",
            STATUS,
            "whatsapp",
            b'{"status":"read","timestamp":1700000000}',
        ),
        Poison(
            "delivered, for a message received",
            "state_violation",
            STATUS,
            "whatsapp",
            orjson.dumps(impossible),
        ),
        Poison(
            "a correlation without a message",
            "invalid_payload",
            CORRELATION,
            "genesys",
            b'{"conversation_id":"c"}',
        ),
        Poison(
            "a campaign without content",
            "invalid_payload",
            BROADCAST,
            "campaign.launch",
            b'{"campaign_id":"empty","phone_number_id":"1"}',
        ),
        Poison(
            "a launched campaign with other content",
            "state_violation",
            BROADCAST,
            "campaign.launch",
            orjson.dumps(other_campaign),
        ),
    ]


def _message(name: str, **changes: Any) -> dict[str, Any]:
    return {"wamid": f"wamid.poison.{name}", "wa_id": _NOBODY, "timestamp": 1_700_000_000} | changes


def _media(name: str, url: str) -> bytes:
    return orjson.dumps(_message(name, media_url=url, message_type="image"))
