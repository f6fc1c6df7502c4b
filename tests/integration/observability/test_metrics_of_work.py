"""What each metric counts, by work that is really done, read where Prometheus reads it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import aio_pika
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from tests.support.campaigns import campaign, customers, launch
from tests.support.cluster import Cluster
from tests.support.http import get
from tests.support.paces import FAST
from tests.support.rows import add_mapping, insert
from tests.support.sending import CUSTOMER, NUMBER, Sender, text
from tests.support.tracking import add_outbound, at
from tests.support.waiting import until
from tests.unit.test_metrics import PROMISED

_PORT: Final = "metrics and health on port "


@dataclass(frozen=True, slots=True)
class Scrape:
    """Every sample of one scrape, by its name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float | None:
        """The sample with exactly these labels; None where there is none. Names without `wabus_`."""
        return self.samples.get((f"wabus_{name}", frozenset(labels.items())))

    def values(self, name: str) -> dict[str, float]:
        """All samples of a name, by the values of their labels."""
        return {
            "/".join(value for _, value in sorted(labels)): sample
            for (its_name, labels), sample in self.samples.items()
            if its_name == f"wabus_{name}"
        }

    def count(self, name: str, **labels: str) -> float | None:
        """Observations of a histogram."""
        return self.value(f"{name}_count", **labels)


async def scrape(url: str) -> Scrape:
    """Read all metrics; their labels are those that are promised."""
    _, body = await get(url, "/metrics")
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            name = family.name if family.type == "histogram" else sample.name
            labels = {label: value for label, value in sample.labels.items() if label != "le"}
            if name.startswith("wabus_"):
                assert labels.keys() == PROMISED[name], sample
            if "le" not in sample.labels:
                samples[sample.name, frozenset(labels.items())] = sample.value
    return Scrape(samples)


@asynccontextmanager
async def worker(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, name: str, **environ: str
) -> AsyncIterator[str]:
    """Run one worker; gives where it serves its metrics."""
    caplog.set_level("INFO")
    caplog.clear()
    async with cluster.running(name, **environ):
        await until(lambda: _PORT in caplog.text)
        said = next(record.getMessage() for record in caplog.records if _PORT in record.getMessage())
        yield f"http://127.0.0.1:{said.rpartition(' ')[2]}"


async def until_scraped(url: str, holds: Callable[[Scrape], bool]) -> Scrape:
    """Wait until a scrape shows something; gives that scrape."""
    last: list[Scrape] = []

    async def shows() -> bool:
        last[:] = [await scrape(url)]
        return holds(last[0])

    await until(shows)
    return last[0]


def in_hand(scraped: Scrape) -> float:
    """What is at work; it is counted as processed a moment before it is out of hand."""
    return scraped.value("inflight", worker="inbound-resolver") or 0


def processed(scraped: Scrape) -> float:
    """Deliveries that have a disposition."""
    return sum(scraped.values("messages_processed_total").values())


def inbound(wamid: str, wa_id: str = CUSTOMER) -> dict[str, Any]:
    said = {"wamid": wamid, "timestamp": "2026-01-15T10:30:00Z", "wa_id": wa_id, "phone_number_id": NUMBER}
    return said | {"message_text": "hello"}


async def test_deliveries_conversations_and_their_cache(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    for body in (inbound("w1"), inbound("w1"), inbound("w2", "491700000002"), b"{"):
        await cluster.publish("wa.inbound", CUSTOMER, body)
    exchange = await cluster.channel.get_exchange("wa.inbound", ensure=False)
    body, published = orjson.dumps(inbound("w3")), datetime.now(UTC) - timedelta(seconds=100)
    await exchange.publish(aio_pika.Message(body, timestamp=published), CUSTOMER)
    began = time.time()
    async with worker(cluster, caplog, "inbound-resolver", BATCH_SIZE="50", BATCH_LINGER_MS="300") as url:
        seen = await until_scraped(url, lambda scraped: processed(scraped) == 5 and not in_hand(scraped))

    by = {"worker": "inbound-resolver"}
    assert seen.values("messages_processed_total") == {"ack/inbound-resolver": 4, "dead/inbound-resolver": 1}
    no_lane = by | {"lane": ""}

    assert seen.count("message_duration_seconds", **no_lane) == 5
    assert seen.count("queue_wait_seconds", **no_lane) == 1
    assert 95 < (seen.value("queue_wait_seconds_sum", **no_lane) or 0) < 200
    assert seen.value("batch_size_sum", **by) == 5
    assert 1 <= (seen.count("batch_size", **by) or 0) < 5
    assert seen.value("inflight", **by) == 0
    assert seen.value("duplicate_messages_total", **by) == 1
    assert seen.value("conversations_created_total") == 2
    assert seen.value("cache_operations_total", operation="set", result="ok") in (2, 3)  # a customer a batch
    assert (
        seen.count("mapping_resolution_duration_seconds", operation="inbound", cache_hit="false") or 0
    ) > 0
    assert seen.values("lock_acquire_seconds_count").keys() == {"acquired"}
    assert seen.value("lock_acquisition_failures_total") == 0
    assert began < (seen.value("last_progress_timestamp_seconds", **by) or 0) <= time.time()
    assert (seen.count("publish_confirm_seconds") or 0) >= 2  # what is told, and the dead


async def test_which_servers_let_a_worker_work(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    all_up = {"database": 1.0, "redis": 1.0, "rabbitmq": 1.0}
    async with worker(cluster, caplog, "inbound-resolver") as url:
        await until_scraped(url, lambda seen: seen.values("dependency_up") == all_up)
    async with worker(cluster, caplog, "inbound-resolver", REDIS_URL="redis://127.0.0.1:1/0") as url:
        await until_scraped(url, lambda seen: seen.values("dependency_up") == all_up | {"redis": 0.0})


async def test_whether_the_cloud_api_answers(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    async with worker(sender.cluster, caplog, "outbound-sender", WHATSAPP_API_URL=sender.url) as url:

        async def send(customer: str, is_up: float) -> None:
            await sender.ask(text(f"to {customer}", customer))
            await until_scraped(url, lambda seen: seen.values("dependency_up").get("cloud_api") == is_up)

        await send(CUSTOMER, 1.0)
        await send(CUSTOMER[:-3] + "904", 0.0)  # the connection is closed
        await send(CUSTOMER[:-3] + "906", 1.0)  # refused, which is an answer


async def test_retries_by_reason(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    told = {"conversation_id": "conv-1", "communication_id": "c", "whatsapp_message_id": "unknown"}
    await cluster.publish("wa.correlation", "genesys", told)
    async with worker(cluster, caplog, "inbound-resolver") as url:
        seen = await until_scraped(
            url, lambda scraped: "dead" in str(scraped.values("messages_processed_total"))
        )

    retries = seen.values("retries_total")

    assert retries == {"mapping_not_found/inbound-resolver": 4}
    assert seen.values("messages_processed_total") == {
        "retry/inbound-resolver": 4,
        "dead/inbound-resolver": 1,
    }


async def test_locks_that_are_taken_and_locks_without_redis(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with Redis.from_url(cluster.redis_url) as redis:
        await redis.set(f"lock:mapping:{NUMBER}:{CUSTOMER}", "somebody", px=60_000)
    await cluster.publish("wa.inbound", CUSTOMER, inbound("w1"))
    async with worker(cluster, caplog, "inbound-resolver") as url:
        taken = await until_scraped(url, lambda scraped: processed(scraped) == 1)
    await cluster.publish("wa.inbound", CUSTOMER, inbound("w2"))
    async with worker(cluster, caplog, "inbound-resolver", REDIS_URL="redis://127.0.0.1:1/0") as url:
        away = await until_scraped(url, lambda scraped: processed(scraped) == 1)

    assert taken.values("lock_acquire_seconds_count") == {"contended": 4}  # at once, and three times more
    assert taken.value("lock_acquisition_failures_total") == 1
    assert away.values("lock_acquire_seconds_count") == {"unavailable": 1}
    assert away.values("cache_operations_total") == {"set/error": 1}


async def test_sends_by_what_came_of_them(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    environ = {"WHATSAPP_API_URL": sender.url, "WHATSAPP_PHONE_NUMBER_ID": NUMBER}
    for ending in ("000", "901", "904", "906"):  # sent; refused once; cut off; no window
        await sender.ask(text(ending, CUSTOMER[:-3] + ending))
    async with worker(sender.cluster, caplog, "outbound-sender", **environ) as url:
        seen = await until_scraped(url, lambda scraped: processed(scraped) == 5)

    assert seen.values("sends_total") == {
        "none/reply/sent": 2,
        "transient/reply/failed": 1,
        "ambiguous/reply/ambiguous": 1,
        "window/reply/failed": 1,
    }
    assert seen.values("send_duration_seconds_count") == {"reply": 5}
    assert seen.values("message_duration_seconds_count") == {"reply/outbound-sender": 5}
    assert seen.values("rate_limit_wait_seconds_count") == {"reply": 5}
    assert seen.values("messages_processed_total") == {
        "ack/outbound-sender": 2,
        "retry/outbound-sender": 1,
        "defer/outbound-sender": 1,
        "dead/outbound-sender": 1,
    }
    assert seen.values("retries_total") == {"transient/outbound-sender": 1}
    assert seen.value("conversations_created_total") == 4


async def test_repetitions_and_conversations_of_the_sender(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"WHATSAPP_API_URL": sender.url, "WHATSAPP_PHONE_NUMBER_ID": NUMBER}
    await add_mapping(sender.cluster.conn, wa_id=CUSTOMER, conversation_id="talk")
    async with worker(sender.cluster, caplog, "outbound-sender", **environ) as url:
        for place in range(2):
            message = {"client_message_id": f"c{place}", "conversation_id": "talk", "message_text": "hello"}
            await sender.ask(message)
            await sender.until_status("sent", f"c{place}")
        await sender.ask(message)
        seen = await until_scraped(url, lambda scraped: processed(scraped) == 3)

    assert seen.values("mapping_resolution_duration_seconds_count") == {
        "false/outbound": 1,
        "true/outbound": 1,
    }
    assert seen.value("cache_operations_total", operation="get", result="miss") == 1
    assert seen.value("cache_operations_total", operation="get", result="hit") == 1
    assert seen.values("duplicate_messages_total") == {"outbound-sender": 1}


async def test_status_events_by_outcome(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    await add_outbound(cluster.conn, "sent")
    events: list[dict[str, Any]] = [
        {"wamid": "wamid.1", "status": "read", "timestamp": at(3).isoformat()},
        {"wamid": "wamid.1", "status": "read", "timestamp": at(3).isoformat()},
        {"wamid": "wamid.1", "status": "delivered", "timestamp": at(2).isoformat()},
        {"wamid": "wamid.1", "status": "processed", "timestamp": at(4).isoformat()},
        {"wamid": "wamid.unknown", "status": "sent", "timestamp": at(1).isoformat()},
        {"wamid": "wamid.1", "status": "warning", "timestamp": at(1).isoformat()},
    ]
    async with worker(cluster, caplog, "status-updater", BATCH_SIZE="1") as url:
        for place, event in enumerate(events, start=1):
            await cluster.publish("wa.status", "whatsapp", event)
            seen = await until_scraped(url, lambda scraped, place=place: processed(scraped) == place)  # type: ignore[misc]

    assert seen.values("status_events_total") == {
        "applied": 1,
        "implied": 1,
        "duplicate": 1,
        "late": 1,
        "rejected": 1,
        "unmatched": 1,
        "ignored": 1,
    }
    assert seen.values("messages_processed_total") == {"ack/status-updater": 5, "dead/status-updater": 1}
    assert seen.value("duplicate_messages_total", worker="status-updater") == 1
    assert seen.values("delivery_seconds_count") == {"reply": 1}


async def test_dead_letters_by_reason(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    for body in (b"{", b"[", b"\xff"):
        await cluster.publish("wa.inbound", CUSTOMER, body)
    await cluster.publish("wa.inbound", "", inbound("w1") | {"media_url": "ftp://media.example/a"})
    async with worker(cluster, caplog, "inbound-resolver") as url:
        await until_scraped(url, lambda scraped: processed(scraped) == 4)
    async with worker(cluster, caplog, "dlq-handler") as url:
        seen = await until_scraped(url, lambda scraped: processed(scraped) == 4)

    assert seen.values("dlq_messages_total") == {"invalid_payload": 3, "invalid_media_url": 1}


async def test_a_campaign_that_is_launched_again(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await launch(cluster, campaign(customers(2)))
    async with worker(cluster, caplog, "broadcast-batcher") as url:
        seen = await until_scraped(url, lambda scraped: processed(scraped) == 3)

    assert seen.value("duplicate_messages_total", worker="broadcast-batcher") == 2


async def test_gauges_of_the_whole_cluster(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    conn = cluster.conn
    for place in range(3):
        await add_mapping(conn, wa_id=f"49170000000{place}")
    await conn.execute(
        "update conversation_mappings set last_activity_at = now() - interval '3 days'"
        " where wa_id = '491700000000'"
    )
    later = datetime.now(UTC) + timedelta(hours=1)
    for reason in ("rate_limit", "rate_limit", "number_paused"):
        place_of_it = {"queue": "outbound-sender", "exchange": "wa.outbound", "routing_key": "reply.1"}
        await insert(conn, "deferred_messages", **place_of_it, body=b"{}", reason=reason, not_before=later)
    for status in ("pending", "pending", "dismissed"):
        letter = {"source_queue": "status-updater", "reason": "expired", "status": status}
        await insert(conn, "dead_letter_queue", **letter)
    for number, state in (("1001", "paused"), ("1002", "paused"), ("1003", "active")):
        since = datetime.now(UTC) - timedelta(seconds=60)
        await insert(conn, "business_numbers", phone_number_id=number, state=state, since=since)
    for number, state in (("1001", "open"), ("1002", "half_open"), ("1003", "closed")):
        await insert(conn, "circuit_breakers", service=number, state=state)
    await insert(conn, "outbox_events", event_type="x", claimed_until=later)
    await conn.execute("update outbox_events set created_at = now() - interval '1 hour'")
    for _ in range(2):
        await cluster.publish("wa.status", "whatsapp", {"wamid": str(uuid4()), "status": "sent"})
    await until(lambda: _is_deep(cluster, "status-updater", 2))

    async with worker(cluster, caplog, "scheduler") as url:
        seen = await until_scraped(
            url,
            lambda scraped: (
                scraped.value("conversations_expired_total") == 1
                and scraped.value("active_conversations") == 2
                and len(scraped.values("circuit_state")) == 3
                and scraped.value("dlq_pending") == 2
            ),
        )

    assert seen.values("deferred_messages") == {"rate_limit": 2, "number_paused": 1}
    assert seen.value("number_paused") == 2
    assert seen.values("number_paused_since_timestamp_seconds") == {
        "1001": pytest.approx(time.time() - 60, abs=30),
        "1002": pytest.approx(time.time() - 60, abs=30),
    }
    assert seen.values("circuit_state") == {"1001": 2, "1002": 1, "1003": 0}
    assert 3600 <= (seen.value("outbox_oldest_seconds") or 0) < 7200
    assert seen.values("job_interval_seconds").items() >= {"expiry": 300, "gauges": FAST.gauges_s}.items()
    assert seen.values("job_last_success_timestamp_seconds") == dict.fromkeys(
        seen.values("job_interval_seconds"), pytest.approx(time.time(), abs=30)
    )
    assert set(seen.values("job_failures_total").values()) == {0}
    ages = seen.values("queue_oldest_seconds")

    assert ages.pop("status-updater") > 0
    assert set(ages.values()) == {0}
    depths = seen.values("queue_depth")

    assert depths.pop("status-updater") == 2
    assert set(depths.values()) == {0}
    assert {"inbound-resolver", "outbound-sender.bulk", "dlq-handler", "inbound.enriched"} <= depths.keys()
    assert depths.keys() == ages.keys()


async def test_the_age_of_a_queue_whose_consumer_does_not_get_on(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = await cluster.channel.get_exchange("wa.status", ensure=False)
    published = datetime.now(UTC) - timedelta(seconds=100)
    for place in range(3):
        event = {"wamid": f"w{place}", "status": "sent", "timestamp": at(1).isoformat()}
        await exchange.publish(aio_pika.Message(orjson.dumps(event), timestamp=published), "whatsapp")
    async with (
        cluster.conn.transaction(),
        worker(cluster, caplog, "status-updater", PREFETCH="1") as url,
    ):
        await cluster.conn.execute("lock table status_events in access exclusive mode")
        hanging = await until_scraped(url, lambda seen: _oldest(seen, "status-updater") > 90)
        await cluster.conn.execute("rollback and chain")
        done = await until_scraped(
            url, lambda seen: processed(seen) == 3 and not _oldest(seen, "status-updater")
        )

    assert hanging.values("queue_oldest_seconds").keys() == {"status-updater"}
    assert _oldest(hanging, "status-updater") < 200
    assert done.values("queue_oldest_seconds") == {"status-updater": 0}


def _oldest(scraped: Scrape, queue: str) -> float:
    return scraped.value("queue_oldest_seconds", queue=queue) or 0


async def _is_deep(cluster: Cluster, queue: str, depth: int) -> bool:
    return await cluster.depth(queue) == depth
