"""Every decoder of what comes from outside, as a function of bytes, with the errors that it may end in.

Owns the list. `make test` runs it with hypothesis (`tests/security/test_decoders.py`), `make fuzz` with a
coverage-guided fuzzer (`tests/fuzz/__main__.py`). A decoder that ends in anything else has failed.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import click
import orjson
from pydantic import BaseModel, ValidationError

from deploy.sandbox.graph_errors import RequestRefused
from deploy.sandbox.send_request import parse_body
from deploy.sandbox.settings import SandboxSettings
from shared.amqp.decoding import read_short_text, read_table, read_time
from shared.amqp.delivery import Delivery
from shared.amqp.frames.channel import read_method
from shared.amqp.frames.reading import (
    ACK,
    DELIVER,
    METHOD,
    NACK,
    ContentReader,
    FrameReader,
    MalformedFrames,
    read_confirm,
    read_properties,
    read_route,
)
from shared.amqp.headers import carried_headers, correlation_of, idempotency_key_of, plain
from shared.deadletters.storing import clean_headers, json_of
from shared.errors import SettingsError, WabusError
from shared.masking import escape_controls, mask_secrets
from shared.messaging.campaigns.file import FileError, check_file, read_rows
from shared.messaging.campaigns.rendering import (
    MissingVariable,
    names_used,
    render_template,
    render_text,
    texts_of,
)
from shared.messaging.customers.addresses import read_address
from shared.observability.tracing import read_trace
from shared.payloads import (
    BroadcastCampaign,
    CampaignControl,
    ConversationClosed,
    ConversationCorrelation,
    InboundMessage,
    InvalidPayload,
    OutboundMessage,
    StatusUpdate,
    Template,
    decode,
    encode,
)
from shared.payloads.fields import parse_event_time, parse_planned_time
from shared.settings.media_url import InvalidMediaUrl, check_media_url
from shared.settings.settings import Settings
from workers.cli.ages import read_age
from workers.dlq_handler.letters import read_letter, simplified
from workers.outbound_sender.calling.answer import read_answer

#: What pamqp and its caller may raise on bytes that no broker would pass on.
_NO_TABLE: Final = (ValueError, IndexError, struct.error, OverflowError)
_SETTINGS: Final = sorted({name.upper() for name in Settings.model_fields} - {"WHATSAPP_NUMBERS"})


@dataclass(frozen=True, slots=True)
class Decoder:
    """`run` takes any bytes; `refusals` are how it may say no."""

    run: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()


def attempt(decoder: Decoder, data: bytes) -> None:
    """Run it. Raises what it must not raise."""
    try:
        decoder.run(data)
    except decoder.refusals:
        return


def _payload(model: type[BaseModel], data: bytes) -> None:
    encode(decode(model, data))


def _answer(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    status = 200 if len(head) % 2 else 400 + sum(head) % 200
    text = head.decode("latin-1")
    answer = read_answer(status, {"Retry-After": text, "Date": text[::-1]}, body)
    assert len(repr(answer)) < 5000


def _headers(data: bytes) -> None:
    _, table = read_table(data)
    item = Delivery(
        queue="dlq-handler",
        exchange="wa.dlx" if len(data) % 2 else "",
        routing_key="inbound-resolver",
        body=data,
        headers=table,
        correlation_id=table.get("correlation"),
        message_id=None,
        published_at=None,
        redelivered=False,
        tag=1,
        generation=1,
        received_at=0.0,
    )
    carried_headers(item)
    correlation_of(item)
    idempotency_key_of(item)
    orjson.dumps(clean_headers(plain(item.headers)), option=orjson.OPT_NON_STR_KEYS)
    simplified(read_letter(item, "fuzz"))


def _frames(data: bytes) -> None:
    """What a server says, on one channel."""
    contents = ContentReader()
    for kind, _, payload in FrameReader(4096).feed(data):
        if kind != METHOD:
            content = contents.add(kind, payload)
            if content is not None:
                read_route(content.method)
                read_properties(content.header)
        elif payload.startswith(DELIVER):
            contents.begin(payload)
        elif payload.startswith((ACK, NACK)):
            read_confirm(payload)
        else:
            read_method(payload)


def _short_values(data: bytes) -> None:
    if data:
        read_short_text(data)
    read_time(data)


def _file(data: bytes) -> None:
    with NamedTemporaryFile(suffix=".csv") as file:
        file.write(data)
        file.flush()
        path = Path(file.name)
        if not check_file(path).problem_count:
            list(read_rows(path))


def _settings(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape").split("\x1e")
    name = words.pop(0) if words[0] in _SETTINGS else _SETTINGS[len(data) % len(_SETTINGS)]
    if not name.endswith("_FILE"):
        Settings.from_env(dict(zip([name, *_SETTINGS], words, strict=False)))


def _age(text: str) -> None:
    read_age(click.Context(click.Command("x")), click.Option(["--age"]), text)


def _times(text: str) -> None:
    for read in (parse_event_time, parse_planned_time):
        read(text)


def _media_url(text: str) -> None:
    check_media_url(text, ())


def _trace(text: str) -> None:
    correlation_id, _, traceparent = text.partition("\n")
    trace = read_trace(correlation_id, traceparent)
    assert trace.traceparent().isascii()
    assert len(trace.trace_id) <= 100


def _rendering(data: bytes) -> None:
    value = orjson.loads(data)
    match value:
        case {"text": str(text), "variables": dict(variables)}:
            names_used(text)
            render_text(text, texts_of(variables))
        case {"components": list(components), "variables": dict(variables)}:
            template = Template.model_validate({"name": "n", "language": "de", "components": components})
            render_template(template, texts_of(variables))
        case _:
            names_used(value)


def _text_of(read: Callable[[str], object], data: bytes) -> None:
    read(data.decode("utf-8", "replace"))


def _masks(text: str) -> None:
    assert escape_controls(mask_secrets(text)).isprintable()


_MODELS: Final[tuple[type[BaseModel], ...]] = (
    InboundMessage,
    OutboundMessage,
    StatusUpdate,
    ConversationCorrelation,
    ConversationClosed,
    BroadcastCampaign,
    CampaignControl,
)
DECODERS: Final[Mapping[str, Decoder]] = {
    **{model.__name__: Decoder(partial(_payload, model), (InvalidPayload,)) for model in _MODELS},
    "cloud api answer": Decoder(_answer),
    "header table": Decoder(_headers, _NO_TABLE),
    "amqp frames": Decoder(_frames, (MalformedFrames,)),
    "amqp method": Decoder(read_method, (MalformedFrames,)),
    "amqp properties": Decoder(read_properties, (MalformedFrames,)),
    "short values": Decoder(_short_values),
    "dead letter body": Decoder(json_of),
    "campaign file": Decoder(_file, (FileError,)),
    "campaign rendering": Decoder(_rendering, (MissingVariable, orjson.JSONDecodeError, ValidationError)),
    "settings": Decoder(_settings, (SettingsError,)),
    "age": Decoder(partial(_text_of, _age), (click.BadParameter,)),
    "time": Decoder(partial(_text_of, _times), (ValueError,)),
    "address": Decoder(partial(_text_of, read_address), (WabusError,)),
    "media url": Decoder(partial(_text_of, _media_url), (InvalidMediaUrl,)),
    "trace": Decoder(partial(_text_of, _trace)),
    "masking": Decoder(partial(_text_of, _masks)),
    "sandbox request": Decoder(partial(parse_body, "application/json"), (RequestRefused,)),
    "sandbox settings": Decoder(SandboxSettings.model_validate_json, (ValidationError,)),
}


def _example(model: type[BaseModel], **fields: Any) -> tuple[str, bytes]:
    return model.__name__, orjson.dumps(fields)


#: Where the search begins: inputs that each decoder takes.
SEEDS: Final[tuple[tuple[str, bytes], ...]] = (
    _example(
        InboundMessage,
        wamid="w",
        timestamp="2026-01-15T10:30:00Z",
        wa_id="+491700000001",
        message_text="hi",
        media_url="https://x.example/a",
        content={"a": [1, None, 1e3]},
    ),
    _example(
        OutboundMessage,
        client_message_id="c",
        wa_id="491700000001",
        template={"name": "n", "language": "de", "components": [{"type": "body", "parameters": []}]},
        expires_at=1768473000,
        category="utility",
    ),
    _example(OutboundMessage, client_message_id="c", wa_id="491700000001", media_id="77", media_type="image"),
    _example(
        StatusUpdate,
        status="failed",
        timestamp=1768473000000,
        wamid="w",
        errors=[{"code": 131000, "title": "t", "details": "d"}],
    ),
    _example(ConversationCorrelation, conversation_id="a", communication_id="b", whatsapp_message_id="w"),
    _example(ConversationClosed, conversation_id="a"),
    _example(
        BroadcastCampaign,
        campaign_id="c",
        phone_number_id="1",
        message_text="{{a}}",
        recipients=[{"wa_id": "491700000001", "variables": {"a": "b"}}],
    ),
    _example(CampaignControl, campaign_id="c", action="pause", requested_at="2026-01-15T10:30:00Z"),
    ("cloud api answer", b'1\n{"messages":[{"id":"wamid.x"}]}'),
    ("cloud api answer", b'\n{"error":{"code":131026,"message":"m","error_data":{"details":"d"}}}'),
    (
        "header table",
        b"\x00\x00\x00\x1e\x09x-attemptI\x00\x00\x00\x02\x01aS\x00\x00\x00\x01b\x01cF\x00\x00\x00\x00",
    ),
    (
        "amqp frames",
        b"\x01\x00\x01\x00\x00\x00\x13\x00<\x00<\x01c\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01e\x01k\xce"
        b"\x02\x00\x01\x00\x00\x00\x19\x00<\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01 \x80"
        b"\x00\x00\x00\x05\x01as\x01\x02\x01m\xce"
        b"\x03\x00\x01\x00\x00\x00\x01x\xce"
        b"\x01\x00\x01\x00\x00\x00\r\x00<\x00P\x00\x00\x00\x00\x00\x00\x00\x01\x01\xce",
    ),
    (
        "amqp method",
        b"\x00\n\x00\n\x00\x09\x00\x00\x00\x03\x01aV\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US",
    ),
    ("amqp method", b"\x00\x14\x00(\x01\x94\x09NOT_FOUND\x00<\x00\n"),
    (
        "amqp properties",
        b"\x00<" + bytes(10) + b"\xa4@\x04json\x00\x00\x00\x05\x01as\x01\x02\x01c" + bytes(8),
    ),
    ("campaign file", b"wa_id;name\n491700000001;Ana\n"),
    ("campaign rendering", b'{"text":"{{a}} {{1}}","variables":{"a":"b","1":2}}'),
    ("campaign rendering", b'{"components":[{"text":"{{1}}"}],"variables":{"1":"x"}}'),
    ("campaign rendering", b'{"components":[],"variables":{"1":"x","2":"y"}}'),
    ("settings", b"RABBITMQ_URL\x1eamqps://u:p@h:5671/v"),
    ("settings", b"DATABASE_URL\x1epostgresql://u@h/w?sslmode=require"),
    ("age", b"1.5h"),
    ("time", b"2026-01-15T10:30:00+01:00"),
    ("media url", b"https://[2606:4700::1]:443/a?b#c"),
    ("trace", b"id\n00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("masking", b"amqp://u:p@h/ token=abc Bearer abcdefgh EAAabcdefghijklmnopq"),
    (
        "sandbox request",
        b'{"messaging_product":"whatsapp","to":"491700000001","type":"text","text":{"body":"x"}}',
    ),
    ("sandbox settings", b'{"latency_ms":1,"fault":{"code":131000}}'),
)
