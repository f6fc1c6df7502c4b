"""What a person typed, however odd, reaches row and event; the bytes it came as are kept."""

import base64
import json

from deploy.stack import ports
from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters
from tests.support.http import get
from tests.support.program import run_wabus
from tests.support.sending import CUSTOMER, NUMBER, Sender
from tests.support.tracking import add_outbound, at
from tests.support.waiting import until

INBOUND = {"timestamp": "2026-01-15T10:30:00Z", "wa_id": CUSTOMER, "phone_number_id": "1001"}


async def test_an_inbound_message_with_odd_characters_and_empty_fields_is_told(cluster: Cluster) -> None:
    odd = {"wamid": "wamid.1", "message_text": "a\0b\ud83d", "contact_name": "A\0", "media_url": ""}
    body = json.dumps(INBOUND | odd).encode()
    async with cluster.running("inbound-resolver", "dlq-handler"):
        await cluster.publish("wa.inbound", CUSTOMER, body)
        await cluster.publish("wa.inbound", CUSTOMER, INBOUND | {"wamid": "wamid.2", "contact_name": ""})
        await until(lambda: len(cluster.told("inbound.enriched")) == 2)
    first = next(told for told in cluster.told("inbound.enriched") if told["wamid"] == "wamid.1")
    assert (first["message_text"], first["contact_name"]) == ("a\ufffdb\ufffd", "A\ufffd")
    assert "media_url" not in first
    kept = await cluster.conn.fetchval("select metadata from message_tracking where wamid = 'wamid.1'")
    mended = json.loads(kept)["mended"] if isinstance(kept, str) else kept["mended"]

    assert mended["replaced_characters"] == 3
    assert base64.b64decode(mended["raw_body_base64"]) == body
    assert await cluster.conn.fetchval("select contact_name from conversation_mappings") == "A\ufffd"
    assert await count_letters(cluster) == 0


async def test_a_status_with_side_fields_of_a_wrong_shape_is_applied(cluster: Cluster) -> None:
    message_id = await add_outbound(cluster.conn)
    odd = {"recipient_id": 49170, "pricing": "free", "errors": {"code": 131026, "title": "a\0"}}
    async with cluster.running("status-updater", "dlq-handler"):
        said = {"wamid": "wamid.1", "status": "failed", "timestamp": at(0).isoformat()} | odd
        await cluster.publish("wa.status", "whatsapp", json.dumps(said).encode())
        await until(lambda: _is_failed(cluster, message_id))
    reasons = await cluster.conn.fetch(
        "select reason from dead_letter_queue where reason = 'invalid_payload'"
    )

    assert reasons == []


async def _is_failed(cluster: Cluster, message_id: object) -> bool:
    query = "select status = 'failed' from message_tracking where id = $1"
    return bool(await cluster.conn.fetchval(query, message_id))


async def test_an_outbound_message_with_odd_characters_is_sent(sender: Sender) -> None:
    body = {"client_message_id": "c-1", "wa_id": CUSTOMER, "message_text": "a\0b", "caption": ""}
    said = json.dumps(body | {"metadata": {"note": "\ud83d"}}).encode()
    async with sender.running():
        await sender.cluster.publish("wa.outbound", "reply.1001", said)
        await until(lambda: _is_told(sender))
    [accepted] = await sender.sandbox.messages(CUSTOMER)
    assert accepted["type"] == "text"
    mended = await sender.cluster.conn.fetchval("select metadata -> 'mended' from message_tracking")
    assert "replaced_characters" in str(mended)
    [told] = sender.cluster.told("outbound.sent")

    assert told["metadata"] == {"note": "\ufffd"}


async def test_a_dead_message_with_odd_characters_can_be_replayed(sender: Sender) -> None:
    # Given a message with a NUL that the platform refuses once, dead for it
    body = {"client_message_id": "c-1", "wa_id": CUSTOMER, "message_text": "a\0b"}
    said = json.dumps(body).encode()
    fault = {"code": 131047, "error_subcode": None, "phone_number_id": NUMBER, "times": 1}
    await sender.sandbox.change(fault=fault)
    async with sender.cluster.running("dlq-handler"), sender.running():
        await sender.cluster.publish("wa.outbound", "reply.1001", said)
        await until(lambda: _is_dead(sender.cluster))
        assert await sender.cluster.conn.fetchval("select raw_body from dead_letter_queue") == said

        # When an operator replays it
        environ = {
            "DATABASE_URL": sender.cluster.database_url,
            "RABBITMQ_URL": sender.cluster.rabbitmq_url,
        }
        replayed = await run_wabus("dlq", "replay", "--all", environ=environ)
        await until(lambda: _is_told(sender))

    # Then it is sent, and its new row keeps the bytes, too
    assert "Replayed 1 of 1 dead letters" in replayed.out
    rows = await sender.cluster.conn.fetch(
        "select status, metadata #>> '{mended,raw_body_base64}' as raw from message_tracking order by seq"
    )

    assert [row["status"] for row in rows] == ["failed", "sent"]
    assert [base64.b64decode(row["raw"]) for row in rows] == [said, said]


async def _is_dead(cluster: Cluster) -> bool:
    return await count_letters(cluster) == 1


async def test_a_template_with_line_breaks_is_sent_flat_and_counted(sender: Sender) -> None:
    parameter = {"type": "text", "text": "two\nlines"}
    template = {
        "name": "welcome",
        "language": "en",
        "components": [{"type": "body", "parameters": [parameter]}],
    }
    (port,) = ports.choose(1)
    async with sender.running(METRICS_PORT=str(port)):
        await sender.ask({"client_message_id": "c-1", "wa_id": CUSTOMER, "template": template})
        await until(lambda: _is_told(sender))
        metrics = await get(f"http://127.0.0.1:{port}", "/metrics")
    [accepted] = await sender.sandbox.messages(CUSTOMER)

    assert accepted["type"] == "template"
    assert 'wabus_payload_repairs_total{kind="blanks",worker="outbound-sender"} 1.0' in str(metrics)


async def _is_told(sender: Sender) -> bool:
    return len(sender.cluster.told("outbound.sent")) == 1
