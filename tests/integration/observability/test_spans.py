"""Spans as a collector gets them: one trace from webhook to read, through retries, waits, death, replay."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import aio_pika
import orjson
import pytest

from shared.observability.span_export import exporting_spans
from shared.observability.tracing import read_trace
from shared.settings.settings import Settings
from tests.support.cluster import Cluster
from tests.support.collector import CollectedSpan, Collector
from tests.support.program import run_wabus
from tests.support.rows import insert
from tests.support.sending import CUSTOMER, NUMBER, TOKEN, Sender, text
from tests.support.waiting import until

W3C: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
WEBHOOK: Final = "00f067aa0ba902b7"
SECRET: Final = "the text of the message"
CALL: Final = "POST /{phone_number_id}/messages"
KEY: Final = "sesame7f3a"


def collecting(collector: Collector) -> dict[str, str]:
    """The variables of a program whose spans go there."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
    }


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector of what is done in this process."""
    async with Collector.running() as collector:
        environ = collecting(collector)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", environ["OTEL_BSP_SCHEDULE_DELAY"])
        async with exporting_spans(Settings.from_env(environ), "test"):
            yield collector


async def publish_in_trace(
    cluster: Cluster, exchange: str, key: str, body: dict[str, Any] | bytes, trace: str | None, **headers: str
) -> None:
    target = await cluster.channel.get_exchange(exchange, ensure=False)
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    await target.publish(aio_pika.Message(raw, correlation_id=trace, headers=dict(headers)), routing_key=key)


def only(spans: list[CollectedSpan]) -> CollectedSpan:
    (span,) = spans
    return span


def brought(collector: Collector) -> set[str]:
    """Spans of the deliveries that brought statuses; each is in a trace of its own."""
    return {span.id for span in collector.spans if span.name == "process status-updater"}


async def test_one_trace_leads_from_the_webhook_to_read(sender: Sender, collector: Collector) -> None:
    # Given a gateway and an agent's platform that carry `traceparent` along
    cluster = sender.cluster
    inbound = {"wamid": "w1", "timestamp": "2026-01-15T10:30:00Z", "wa_id": CUSTOMER, "message_text": SECRET}
    traceparent = f"00-{W3C}-{WEBHOOK}-01"

    # When a customer writes, an agent answers, and the customer reads
    async with (
        sender.with_statuses(),
        cluster.running("inbound-resolver", "status-updater"),
        sender.running(),
    ):
        body = inbound | {"phone_number_id": NUMBER}
        await publish_in_trace(cluster, "wa.inbound", CUSTOMER, body, "order 7", traceparent=traceparent)
        await until(lambda: cluster.told("inbound.enriched") != [])
        heard = next(item for item in cluster.events if item.routing_key == "inbound.enriched")
        answer = text(body=SECRET, genesys_message_id="g1")
        headers = {"traceparent": str(heard.headers["traceparent"])}
        await publish_in_trace(cluster, "wa.outbound", f"reply.{CUSTOMER}", answer, "order 7", **headers)
        await sender.until_status("read")
        await collector.until(W3C, "status read")
        await collector.until(W3C, "publish wa.events", 5)  # enriched, sent, and a step for each status
        await collector.until(W3C, "process outbound-sender")
        await until(lambda: len(brought(collector)) == 3)

    # Then each hop stands below the one before it
    resolved = only(collector.below_id(W3C, WEBHOOK))
    enriched = only(collector.below(resolved, "publish wa.events"))
    sent = only(collector.below(enriched, "process outbound-sender"))
    call = only(collector.below(sent, CALL))
    statuses = [collector.below(call, f"status {name}")[0] for name in ("sent", "delivered", "read")]

    assert (resolved.name, resolved.kind) == ("process inbound-resolver", "CONSUMER")
    assert headers["traceparent"] == f"00-{W3C}-{enriched.id}-01"
    assert (
        resolved.attributes
        | {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": "wa.inbound",
            "messaging.destination.subscription.name": "inbound-resolver",
            "messaging.rabbitmq.destination.routing_key": "49***01",
            "messaging.message.conversation_id": "order 7",
            "wabus.worker": "inbound-resolver",
            "wabus.attempt": 1,
            "wabus.outcome": "ack",
        }
        == resolved.attributes
    )
    assert (enriched.kind, enriched.attributes["wabus.type"]) == ("PRODUCER", "EnrichedInboundMessage")
    assert sent.attributes["wabus.lane"] == "reply"
    assert (call.kind, call.failed) == ("CLIENT", False)
    assert (
        call.attributes
        | {
            "http.response.status_code": 200,
            "wabus.phone_number_id": NUMBER,
            "wabus.customer": "49***01",
            "wabus.attempt": 1,
            "wabus.outcome": "sent",
        }
        == call.attributes
    )

    # And a status is linked to the delivery that brought it, and is the cause of what it changed
    assert all(span.links and set(span.links) <= brought(collector) for span in statuses)
    told = [collector.below(span, "publish wa.events") for span in (call, *statuses)]
    types = {span.attributes["wabus.type"] for spans in told for span in spans}
    assert types == {"EnrichedOutboundMessage", "MessageUpdated"}

    # And nothing is told that no log tells
    said = b" ".join([collector.raw, orjson.dumps([span.attributes for span in collector.spans])])
    assert [word for word in (SECRET, CUSTOMER, TOKEN, KEY) if word.encode() in said] == []
    assert {headers["api-key"] for headers in collector.headers} == {KEY}


async def test_a_retry_stands_below_the_attempt_that_failed(sender: Sender, collector: Collector) -> None:
    customer, trace = f"{CUSTOMER[:-3]}901", "a trace of an application"
    w3c = read_trace(trace).w3c_id
    async with sender.running():
        await publish_in_trace(
            sender.cluster, "wa.outbound", f"utility.{customer}", text(customer=customer), trace
        )
        await sender.until_status("sent")
        await collector.until(w3c, "process outbound-sender.utility", outcome="ack")

    first = only(await collector.until(w3c, "process outbound-sender.utility", outcome="retry"))
    again = only(collector.below(first, "publish wa.retry"))
    second = only(collector.below(again, "process outbound-sender.utility"))
    failed, sent = (only(collector.below(span, CALL)) for span in (first, second))

    assert (first.parent, first.failed, first.attributes["wabus.reason"]) == ("", True, "transient")
    assert (second.failed, second.attributes["wabus.attempt"]) == (False, 2)
    assert (
        failed.attributes
        | {
            "error.type": "131000",
            "http.response.status_code": 500,
            "wabus.error_class": "transient",
            "wabus.outcome": "failed",
        }
        == failed.attributes
    )
    assert (failed.failed, sent.failed, sent.attributes["wabus.attempt"]) == (True, False, 2)


async def test_what_was_put_off_goes_on_below_what_put_it_off(sender: Sender, collector: Collector) -> None:
    cluster, w3c, traceparent = sender.cluster, W3C, f"00-{W3C}-{WEBHOOK}-01"
    await insert(cluster.conn, "business_numbers", phone_number_id=NUMBER, state="paused")
    async with sender.running(), cluster.running("scheduler"):
        await publish_in_trace(
            cluster, "wa.outbound", f"reply.{CUSTOMER}", text(), None, traceparent=traceparent
        )
        await sender.until_deferred("number_paused")
        await cluster.conn.execute("update business_numbers set state = 'active', since = now()")
        await sender.until_status("sent")
        await collector.until(w3c, "process outbound-sender", outcome="ack")
        await collector.until(w3c, "publish outbound-sender")

    put_off = only(await collector.until(w3c, "process outbound-sender", outcome="defer"))
    released = only(collector.below(put_off, "publish outbound-sender"))
    worked = only(collector.below(released, "process outbound-sender"))

    assert (put_off.attributes["wabus.reason"], put_off.failed) == ("number_paused", False)
    assert collector.below(put_off, CALL) == []
    assert len(collector.below(worked, CALL)) == 1


async def test_death_and_replay_stay_in_the_trace(cluster: Cluster, collector: Collector) -> None:
    trace = "a trace of a gateway"
    w3c = read_trace(trace).w3c_id
    async with cluster.running("inbound-resolver", "dlq-handler"):
        await publish_in_trace(cluster, "wa.inbound", CUSTOMER, b"{", trace)
        await until(lambda: cluster.told("deadletter.stored") != [])
        letter = str(cluster.told("deadletter.stored")[0]["id"])
        servers = cluster.environment() | collecting(collector)
        outcome = await run_wabus("dlq", "replay", letter, environ=servers)
        assert outcome.code == 0, outcome.err
        await collector.until(w3c, "process dlq-handler", 2)
        await collector.until(w3c, "process inbound-resolver", 2)

    died = only([span for span in collector.of(w3c) if not span.parent])
    dead = only(collector.below(died, "publish wa.dlx"))
    stored = only(collector.below(dead, "process dlq-handler"))
    replayed = only(collector.below(dead, "publish inbound-resolver"))
    again = only(collector.below(replayed, "process inbound-resolver"))

    assert (died.attributes["wabus.outcome"], died.failed) == ("dead", True)
    assert died.attributes["error.type"] == dead.attributes["wabus.reason"] == "invalid_payload"
    assert len(collector.below(stored, "publish wa.events")) == 1
    assert (replayed.service, replayed.attributes["wabus.replay_of"]) == ("wabus-command", letter)
    assert again.attributes["wabus.outcome"] == "dead"


async def test_a_publisher_that_samples_nothing_is_obeyed(cluster: Cluster, collector: Collector) -> None:
    async with cluster.running("inbound-resolver"):
        body = {"wamid": "w1", "timestamp": "2026-01-15T10:30:00Z", "wa_id": CUSTOMER}
        unsampled = f"00-{W3C}-{WEBHOOK}-00"
        await publish_in_trace(cluster, "wa.inbound", CUSTOMER, body, None, traceparent=unsampled)
        await publish_in_trace(cluster, "wa.inbound", CUSTOMER, body | {"wamid": "w2"}, "sampled")
        await collector.until(read_trace("sampled").w3c_id, "process inbound-resolver")

    (heard,) = [item for item in cluster.events if item.correlation_id == W3C]

    assert collector.of(W3C) == []
    assert str(heard.headers["traceparent"])[:36] == f"00-{W3C}-"
    assert str(heard.headers["traceparent"])[-3:] == "-00"


def test_without_an_endpoint_neither_spans_nor_their_exporter_are_loaded() -> None:
    # redis-py loads OpenTelemetry's metrics wherever they are installed: that is not ours to keep away
    program = """
import asyncio, sys
from shared.observability import spans
from shared.observability.span_export import exporting_spans
from shared.settings.settings import Settings
from workers.cli import dlq, worker
from workers.registry import WORKER_NAMES, load_worker

async def run():
    [load_worker(name) for name in WORKER_NAMES]
    for environ in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1", "OTEL_SDK_DISABLED": "true"}):
        async with exporting_spans(Settings.from_env(environ), "test"):
            assert spans.recording is None

asyncio.run(run())
theirs = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.proto", "google", "requests")
print([name for name in sys.modules if name.startswith((*theirs, "shared.observability.otlp"))])
"""
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), check=True
    )

    assert outcome.stdout == "[]\n"
