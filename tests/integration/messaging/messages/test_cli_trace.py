"""`wabus message show` with a trace id: the messages and dead letters that it finds."""

from typing import Any

import aio_pika
import orjson

from tests.integration.messaging.messages.test_cli_message import PHONE, add_story, show
from tests.support.cluster import Cluster
from tests.support.program import Outcome
from tests.support.rows import Connection, add_mapping, add_message, insert
from tests.support.sending import Sender, text
from tests.support.waiting import until


async def test_a_trace_finds_its_messages_and_dead_letters(conn: Connection, database_url: str) -> None:
    # Given a message that told something in a trace, one that waits, and a dead letter without a message
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    told, waiting = await add_story(conn), await add_message(conn, wamid=None, client_message_id="c-2")
    await insert(
        conn,
        "outbox_events",
        aggregate_id=str(told),
        aggregate_type="message",
        event_type="outbound.sent",
        correlation_id=trace,
    )
    await insert(
        conn,
        "outbound_bodies",
        message_id=waiting,
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.1",
        body=b"{}",
        headers=f'{{"correlation_id": "{trace}"}}',
    )
    await insert(
        conn,
        "dead_letter_queue",
        source_queue="inbound-resolver",
        reason="invalid_payload",
        metadata=f'{{"correlation_id": "{trace}"}}',
        dedupe_key="one",
    )

    found = await show(database_url, trace, "--json")
    people = await show(database_url, trace)
    other = await show(database_url, "00f067aa0ba902b700f067aa0ba902b7")

    messages = {item["id"] for mapping in found.json["mappings"] for item in mapping["messages"]}

    assert (found.json["found_by"], messages) == ("trace", {str(told), str(waiting)})
    assert [letter["reason"] for letter in found.json["dead_letters"]] == ["invalid_payload"]
    assert str(told) in people.out
    assert other.code == 1


async def publish_in_trace(
    cluster: Cluster, exchange: str, body: dict[str, Any], trace: str | None, **headers: str
) -> None:
    target = await cluster.channel.get_exchange(exchange, ensure=False)
    message = aio_pika.Message(orjson.dumps(body), correlation_id=trace, headers=dict(headers))
    await target.publish(message, routing_key="whatsapp")


def inbound(number: int) -> dict[str, Any]:
    return {"wamid": f"wamid.{number}", "timestamp": "2026-01-15T10:30:00Z", "wa_id": PHONE}


def wamids_of(outcome: Outcome) -> list[str]:
    return [item["wamid"] for mapping in outcome.json["mappings"] for item in mapping["messages"]]


async def test_the_trace_of_an_inbound_message_that_went_well_finds_it(cluster: Cluster) -> None:
    # Given messages whose publishers gave a trace of their own, a traceparent, and nothing
    w3c = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with cluster.running("inbound-resolver"):
        await publish_in_trace(cluster, "wa.inbound", inbound(1), "gateway/7: órdenes")
        traceparent = f"00-{w3c}-00f067aa0ba902b7-01"
        await publish_in_trace(cluster, "wa.inbound", inbound(2), None, traceparent=traceparent)
        await publish_in_trace(cluster, "wa.inbound", inbound(3), None)
        await until(lambda: len(cluster.told("inbound.enriched")) == 3)
    traces = {event["wamid"]: event["trace_id"] for event in cluster.told("inbound.enriched")}

    found = {wamid: await show(cluster.database_url, trace, "--json") for wamid, trace in traces.items()}
    people = await show(cluster.database_url, traces["wamid.3"])
    other = await show(cluster.database_url, "00f067aa0ba902b700f067aa0ba902b7")

    assert (traces["wamid.1"], traces["wamid.2"]) == ("gateway/7: órdenes", w3c)
    assert {wamid: (wamids_of(one), one.json["found_by"]) for wamid, one in found.items()} == {
        wamid: ([wamid], "trace") for wamid in traces
    }
    assert "wamid.3" in people.out
    assert "wamid.2" not in people.out
    assert other.code == 1


async def test_the_trace_of_a_status_finds_the_message_that_it_changed(cluster: Cluster) -> None:
    await add_message(cluster.conn, wamid="wamid.sent", status="sent", lane="reply")
    await add_message(cluster.conn, wamid="wamid.other", status="sent", lane="reply")
    async with cluster.running("status-updater"):
        body = {"wamid": "wamid.sent", "status": "delivered", "timestamp": "2026-01-15T10:30:00Z"}
        await publish_in_trace(cluster, "wa.status", body, "gateway/8")
        await until(lambda: len(cluster.told("message.updated")) == 1)

    found = await show(cluster.database_url, "gateway/8", "--json")

    assert (found.json["found_by"], wamids_of(found)) == ("trace", ["wamid.sent"])


async def test_the_trace_of_what_was_sent_finds_it_when_its_events_are_gone(sender: Sender) -> None:
    # Given a customer's message and its answer in one trace, read, eight days ago
    cluster, w3c = sender.cluster, "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{w3c}-00f067aa0ba902b7-01"}
    async with (
        sender.with_statuses(),
        cluster.running("inbound-resolver", "status-updater"),
        sender.running(),
    ):
        await publish_in_trace(cluster, "wa.inbound", inbound(1), None, **headers)
        await until(lambda: cluster.told("inbound.enriched") != [])
        await sender.ask(text(), **headers)
        await sender.until_status("read")
    await cluster.conn.execute("delete from outbox_events")

    found = await show(cluster.database_url, w3c, "--json")
    people = await show(cluster.database_url, w3c)

    # Then its steps stand in one line of time, the statuses among them
    steps = [step["step"] for step in found.json["steps"]]
    assert steps[:3] == ["the customer wrote", "received", "told as inbound.enriched"]
    assert steps[3:6] == ["taken in to be sent", "attempt 1 began", "attempt 1: sent"]
    assert {step.partition(",")[0] for step in steps[6:]} == {"sent", "delivered", "read"}
    assert all(step["ms"] >= 0 for step in found.json["steps"])
    assert "Steps of the trace" in people.out


async def test_a_trace_is_looked_up_without_reading_all_messages(conn: Connection) -> None:
    # Given many pages of messages that are summarised
    mapping = await add_mapping(conn, wa_id=PHONE)
    await conn.execute(
        """
        insert into message_tracking (mapping_id, direction, status, wamid, w3c_trace_id)
        select $1, 'INBOUND', 'received', 'wamid.' || n, md5(n::text)::uuid
        from generate_series(1, 100000) as n
        """,
        mapping,
    )
    await conn.execute("select brin_summarize_new_values('message_tracking_trace')")
    await conn.execute("set enable_seqscan = off")

    (plan,) = orjson.loads(
        await conn.fetchval(
            "explain (analyze, buffers, format json)"
            " select id from message_tracking where w3c_trace_id = md5('50000')::uuid"
        )
    )

    pages = await conn.fetchval("select pg_relation_size('message_tracking') / 8192")

    assert plan["Plan"]["Actual Rows"] == 1
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < pages / 4
