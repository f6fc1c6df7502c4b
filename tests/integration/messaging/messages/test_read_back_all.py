"""Whatever is accepted on any exchange is stored by its worker, and an operator can look at it."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from uuid import uuid4

import aio_pika
import asyncpg
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schema.migrator import latest_version
from shared.payloads import (
    BroadcastCampaign,
    CampaignControl,
    InboundMessage,
    InvalidPayload,
    OutboundMessage,
    decode,
)
from shared.running.process import WorkerProcess
from shared.settings.settings import Settings
from tests.integration.messaging.messages.test_read_back import VALUE
from tests.support.databases import WORKER, with_login
from tests.support.paces import FAST
from tests.support.servers import Servers
from tests.support.waiting import until
from workers.cli.campaign import campaign as campaign_command
from workers.cli.dlq import dlq as dlq_command
from workers.cli.message import message as message_command
from workers.registry import load_worker

Body: TypeAlias = dict[str, Any]

#: What people type, NUL and halves of surrogate pairs included, and the longest of it.
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=60),
    st.sampled_from(["\0", "\ud800", "\udfff\ud800", "<u 4096>", "<x 65536>", "\u202e\x1b[31m", "{{1}}"]),
)
#: Ids up to their bound and one beyond.
IDENT = st.one_of(
    st.text("aA1.:-_ /\\'\"%ä😀", min_size=1, max_size=100),
    st.sampled_from(["i" * 100, "i" * 101, "😀" * 100]),
)
CUSTOMER = st.sampled_from(
    ["491700000001", "+49170000" + "9" * 11, "12345", "DE." + "a" * 157, "DE." + "a" * 158]
)
TIME = st.sampled_from(
    [
        1230768000,
        1230767999,
        1768473000,
        "1768473000.123456",
        1768473000123,
        "2026-01-15T10:30:00+14:00",
        1e300,
    ]
)
PLAN = st.one_of(TIME, st.sampled_from([4102444800, "2100-01-01T00:00:00Z", 4102444801]))


#: What only `_body` writes out: an object nested so deep, and a character so many times.
_DEEP: Final = re.compile(r'"<deep (\d+)>"')
_LONG: Final = re.compile(r"<([ux]) (\d+)>")
OBJECT = st.one_of(
    st.dictionaries(TEXT, VALUE, max_size=3),
    st.sampled_from(["<deep 50>", "<deep 120>", "<deep 250>", "<deep 500>"]),
)
INBOUND = st.fixed_dictionaries(
    {"timestamp": TIME, "wa_id": CUSTOMER},
    optional={
        "user_id": st.one_of(IDENT, st.just("u" * 160)),
        "message_text": TEXT,
        "contact_name": st.one_of(TEXT, VALUE),
        "media_url": st.sampled_from(["https://cdn.example.com/a b.jpg", "https://h.example/<x 8000>"]),
        "phone_number_id": IDENT,
        "display_phone_number": st.one_of(IDENT, VALUE),
        "message_type": IDENT,
        "content": OBJECT,
        "context_wamid": st.one_of(IDENT, st.just("c" * 255)),
        "extra": VALUE,
    },
)
TEMPLATE = st.fixed_dictionaries(
    {"name": st.one_of(TEXT, st.just("n" * 512)), "language": st.one_of(IDENT, st.just({"code": "en"}))},
    optional={"components": st.lists(OBJECT, max_size=2)},
)
CONTENT = st.one_of(
    st.fixed_dictionaries({"message_text": TEXT}),
    st.fixed_dictionaries({"template": TEMPLATE}),
    st.fixed_dictionaries({"interactive": OBJECT}),
    st.fixed_dictionaries({"contacts": st.lists(OBJECT, min_size=1, max_size=2)}),
    st.fixed_dictionaries(
        {
            "location": st.fixed_dictionaries(
                {"latitude": st.floats(-90, 90), "longitude": st.just(-180), "name": TEXT}
            )
        }
    ),
    st.fixed_dictionaries(
        {"reaction": st.fixed_dictionaries({"message_id": st.just("w" * 255), "emoji": TEXT})}
    ),
    st.fixed_dictionaries({"media_url": st.just("https://h.example/a"), "caption": TEXT, "filename": TEXT}),
)
OUTBOUND = st.builds(
    lambda said, content: said | content,
    st.fixed_dictionaries(
        {"wa_id": CUSTOMER},
        optional={
            "phone_number_id": IDENT,
            "genesys_message_id": IDENT,
            "context_wamid": IDENT,
            "category": st.sampled_from(["service", "utility", "authentication", "marketing"]),
            "expires_at": PLAN,
            "on_ambiguous": st.sampled_from(["fail", "resend"]),
            "metadata": st.one_of(OBJECT, VALUE),
            "extra": VALUE,
        },
    ),
    CONTENT,
)
CAMPAIGN = st.fixed_dictionaries(
    {"phone_number_id": IDENT},
    optional={
        "template": TEMPLATE,
        "message_text": TEXT,
        "name": st.one_of(TEXT, VALUE),
        "recipients": st.lists(
            st.fixed_dictionaries({"wa_id": CUSTOMER}, optional={"variables": OBJECT}), max_size=3
        ),
        "batch_size": st.sampled_from([1, 10_000, 10_001]),
        "batch_delay_ms": st.sampled_from([0, 86_400_000]),
        "scheduled_at": PLAN,
    },
)
CONTROL = st.fixed_dictionaries(
    {"action": st.just("pause"), "requested_at": TIME}, optional={"extra": VALUE, "campaign_id": IDENT}
)
HAND = st.fixed_dictionaries(
    {
        "inbound": st.lists(INBOUND, min_size=6, max_size=8),
        "outbound": st.lists(OUTBOUND, min_size=6, max_size=8),
        "campaigns": st.lists(CAMPAIGN, min_size=2, max_size=3),
        "controls": st.lists(CONTROL, min_size=1, max_size=2),
        "correlations": st.lists(st.tuples(IDENT, IDENT), min_size=1, max_size=4),
        "garbage": st.lists(st.binary(max_size=200), max_size=4),
    }
)


@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(hand=HAND)
def test_what_is_accepted_can_be_looked_at(
    virtual_host: str, servers: Servers, database_url: str, hand: dict[str, list[Any]]
) -> None:
    environ = {
        "RABBITMQ_URL": virtual_host,
        "DATABASE_URL": with_login(database_url, WORKER, WORKER),
        "REDIS_URL": servers.redis_url,
        "METRICS_PORT": "0",
        "WHATSAPP_ACCESS_TOKEN": "secret-token",
        "WHATSAPP_API_URL": "http://127.0.0.1:9",  # nobody is there: what is accepted waits
    }
    tag = uuid4().hex[:8]
    asyncio.run(_play(environ, database_url, _tagged(hand, tag)))
    wamids = [item["wamid"] for item in hand["inbound"]]
    for reference in [*wamids, *(item["client_message_id"] for item in hand["outbound"]), "491700000001"]:
        _look(environ, message_command, ["show", reference], may_be_missing=True)
    _look(environ, campaign_command, ["status"])
    for item in hand["campaigns"]:
        _look(environ, campaign_command, ["status", item["campaign_id"]], may_be_missing=True)
    _look(environ, dlq_command, ["list", "--limit", "1000"])
    for letter in asyncio.run(_letters(database_url)):
        _look(environ, dlq_command, ["show", letter])


def _tagged(hand: dict[str, list[Any]], tag: str) -> dict[str, list[Any]]:
    """Each with an id of its own, so that none is another's repetition."""
    for n, item in enumerate(hand["inbound"]):
        item["wamid"] = f"{tag}.{n}." + "w" * (240 if n % 2 else 1)
    for n, item in enumerate(hand["outbound"]):
        item["client_message_id"] = f"{tag}.{n}." + "c" * (80 if n % 2 else 1)
        if "genesys_message_id" in item:
            item["genesys_message_id"] = f"{tag}.{n}." + item["genesys_message_id"][:80]
    for n, item in enumerate(hand["campaigns"]):
        item["campaign_id"] = f"{tag}.{n}." + "k" * (80 if n % 2 else 1)
    for n, item in enumerate(hand["controls"]):
        item["campaign_id"] = hand["campaigns"][n % len(hand["campaigns"])]["campaign_id"]
    return hand


async def _play(environ: dict[str, str], database_url: str, hand: dict[str, list[Any]]) -> None:
    """Publish all, and run the workers until nothing is left to be done."""
    names = ("inbound-resolver", "outbound-sender", "broadcast-batcher", "dlq-handler")
    config = Settings.from_env(environ)
    processes = [WorkerProcess(name, [load_worker(name)], config, latest_version(), FAST) for name in names]
    connection = await asyncpg.connect(database_url)
    before = await _count(connection)
    async with await aio_pika.connect(environ["RABBITMQ_URL"]) as broker, asyncio.TaskGroup() as group:
        running = [group.create_task(process.run()) for process in processes]
        channel = await broker.channel()
        wanted = sum([await _publish(channel, hand, kind) for kind in hand])
        try:
            await until(lambda: _has_all(connection, before + wanted))
        finally:
            for process in processes:
                process.stop()
    await connection.close()
    assert [task.result() for task in running] == [0] * len(names)


#: Of each kind: where it goes.
ROUTES: Final = {
    "inbound": ("wa.inbound", "x"),
    "outbound": ("wa.outbound", "reply.x"),
    "campaigns": ("wa.broadcast", "campaign.launch"),
    "controls": ("wa.broadcast", "campaign.pause"),
    "correlations": ("wa.correlation", "genesys"),
    "garbage": ("wa.inbound", "x"),
}


async def _publish(channel: Any, hand: dict[str, list[Any]], kind: str) -> int:
    """Publish; gives how many rows of messages, campaigns and dead letters must come of it at least."""
    exchange, key = ROUTES[kind]
    target = await channel.get_exchange(exchange, ensure=False)
    bodies: Sequence[bytes] = hand[kind]
    if kind == "correlations":
        wamids = [item["wamid"] for item in hand["inbound"]]
        names = ("conversation_id", "communication_id", "whatsapp_message_id")
        bodies = [_body(dict(zip(names, (*ids, wamids[n]), strict=True))) for n, ids in enumerate(hand[kind])]
    elif kind != "garbage":
        bodies = [_body(item) for item in hand[kind]]
    for body in bodies:
        await target.publish(aio_pika.Message(body), routing_key=key)
    return sum(map(_rows, [kind] * len(bodies), bodies))


def _rows(kind: str, body: bytes) -> int:
    """A message or a campaign; a dead letter of what is invalid. A correlation or control may be either."""
    models = {"inbound": InboundMessage, "outbound": OutboundMessage, "campaigns": BroadcastCampaign}
    if kind == "controls":
        return int(not _is_valid(CampaignControl, body))
    return 1 if kind in models or kind == "garbage" else 0


def _is_valid(model: Any, body: bytes) -> bool:
    try:
        decode(model, body)
    except InvalidPayload:
        return False
    return True


async def _count(connection: Any) -> int:
    tables = ("message_tracking", "broadcast_campaigns", "dead_letter_queue")
    return sum([await connection.fetchval(f"select count(*) from {table}") for table in tables])


async def _has_all(connection: Any, wanted: int) -> bool:
    return await _count(connection) >= wanted


async def _letters(database_url: str) -> list[str]:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("select id from dead_letter_queue")
    await connection.close()
    return [str(row["id"]) for row in rows]


def _look(
    environ: dict[str, str], command: Any, arguments: list[str], *, may_be_missing: bool = False
) -> None:
    """As an operator does, for people and for programs."""
    for options in ([], ["--json"]):
        outcome = CliRunner().invoke(command, [*arguments, *options], env=environ)
        assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exc_info
        if outcome.exit_code:
            assert may_be_missing, outcome.output
            assert "not found" in outcome.output or "no campaign" in outcome.output, outcome.output
        elif options:
            json.loads(outcome.output)


def _body(said: Body) -> bytes:
    def nested(found: re.Match[str]) -> str:
        depth = int(found[1])
        return '{"a":' * depth + "{}" + "}" * depth

    def long(found: re.Match[str]) -> str:
        return {"x": "x", "u": "\\u00e4"}[found[1]] * int(found[2])

    return _LONG.sub(long, _DEEP.sub(nested, json.dumps(said))).encode()
