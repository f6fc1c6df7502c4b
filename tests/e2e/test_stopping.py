"""Worker processes told to stop: what is in hand is finished, the rest stays in its queue."""

import itertools
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.support.cluster import Cluster
from tests.support.dead_letters import publish_dead
from tests.support.http import get
from tests.support.leftovers import count, has_in_hand, is_all_told, keys_told, waiting_messages, work_off
from tests.support.processes import Processes, Program
from tests.support.proxy import Proxy
from tests.support.rows import add_mapping
from tests.support.sending import NUMBER, Sender, text
from tests.support.waiting import until

_MESSAGES: Final = 300


@dataclass(frozen=True, slots=True)
class Load:
    """Messages of one worker: publishing the nth, the row that says it is done, its event."""

    queue: str
    publish: Callable[[Cluster, int], Awaitable[None]]
    done: str
    event: str


async def publish_inbound(cluster: Cluster, number: int) -> None:
    customer = f"4917000000{number % 30:02}"
    message = {"wamid": f"wamid.{number}", "timestamp": 1768473000, "wa_id": customer}
    await cluster.publish("wa.inbound", customer, message)


async def publish_reply(cluster: Cluster, number: int) -> None:
    customer = f"49170000{number % 900:04}"
    await cluster.publish("wa.outbound", f"reply.{customer}", text(f"c{number}", customer))


async def publish_status(cluster: Cluster, number: int) -> None:
    update = {"wamid": f"wamid.{number}", "status": "delivered", "timestamp": 1768473000}
    await cluster.publish("wa.status", "whatsapp", update)


async def publish_launch(cluster: Cluster, number: int) -> None:
    campaign: dict[str, Any] = {
        "campaign_id": f"campaign-{number}",
        "template": {"name": "welcome", "language": "en"},
        "recipients": [{"wa_id": "491700000001"}],
        "phone_number_id": NUMBER,
        "scheduled_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    await cluster.publish("wa.broadcast", "campaign.launch", campaign)


async def publish_death(cluster: Cluster, number: int) -> None:
    await publish_dead(cluster, b'{"number": %d}' % number)


_LOADS: Final = {
    "inbound-resolver": Load(
        "inbound-resolver",
        publish_inbound,
        "message_tracking where published_at is not null",
        "inbound.enriched",
    ),
    "outbound-sender": Load(
        "outbound-sender", publish_reply, "message_tracking where status = 'sent'", "outbound.sent"
    ),
    "status-updater": Load(
        "status-updater", publish_status, "message_tracking where status = 'delivered'", "message.updated"
    ),
    "broadcast-batcher": Load("broadcast-batcher", publish_launch, "broadcast_campaigns", "campaign.updated"),
    "dlq-handler": Load("dlq-handler", publish_death, "dead_letter_queue", "deadletter.stored"),
}


@pytest.mark.parametrize("name", _LOADS)
async def test_a_worker_that_is_stopped_finishes_what_it_has_in_hand(
    sender: Sender, processes: Processes, name: str
) -> None:
    cluster, load = sender.cluster, _LOADS[name]
    cluster.environ |= {"WHATSAPP_API_URL": sender.url, "WHATSAPP_NUMBER_MPS": "100000"}
    await track_sent(cluster, name == "status-updater")
    for number in range(_MESSAGES):
        await load.publish(cluster, number)

    async with Proxy.before(cluster.database_url) as proxy:
        proxy.slow(latency_s=0.002)
        url = proxy.url(cluster.database_url)
        stopped = processes.start(name, DATABASE_URL=url, BATCH_SIZE="5", PREFETCH="20")
        await until(lambda: _are_done(cluster, load.done, 20))
        stopped.send(signal.SIGTERM)
        assert await stopped.until_exit() == 0
    done = await count(cluster, load.done)
    assert 20 <= done < _MESSAGES
    assert await is_all_told(cluster)
    await until(lambda: _is_waiting(cluster, {load.queue: _MESSAGES - done}))

    async with cluster.running(name):
        await until(lambda: _are_done(cluster, load.done, _MESSAGES))
        await until(lambda: is_all_told(cluster))
        await until(lambda: len(keys_told(cluster, load.event)) >= _MESSAGES)
    await work_off(cluster, name)
    assert await count(cluster, load.done) == _MESSAGES
    assert len(set(keys_told(cluster, load.event))) == len(keys_told(cluster, load.event)) == _MESSAGES
    if name == "outbound-sender":
        assert (await sender.sandbox.stats())["accepted"] == _MESSAGES


async def test_a_stopped_scheduler_gives_its_lease_back(cluster: Cluster, processes: Processes) -> None:
    """At production's pace the lease lasts far longer than stopping takes; and PostgreSQL may be slow."""
    async with Proxy.before(cluster.database_url) as proxy:
        stopped = processes.start_shipped("scheduler", DATABASE_URL=proxy.url(cluster.database_url))
        await stopped.until_says("this replica schedules")
        proxy.slow(latency_s=0.1)
        stopped.send(signal.SIGTERM)
        assert await stopped.until_exit() == 0

    assert await count(cluster, "leases") == 1
    assert not await count(cluster, "leases where expires_at > now()")


async def test_a_draining_worker_is_live_and_not_ready(sender: Sender, processes: Processes) -> None:
    program = await start_with_a_hanging_send(sender, processes)
    program.send(signal.SIGINT)
    await program.until_says("draining")
    url = await program.url()
    assert (await get(url, "/health/live"))[0] == 200

    async def is_known() -> bool:
        code, verdict = await get(url, "/health")
        ready, why_not = await get(url, "/health/ready")
        told = (code, verdict["status"], verdict["reasons"], verdict["checks"]["rabbitmq"]["status"])
        return (*told, ready, why_not["reasons"]) == (200, "degraded", draining, "ok", 503, draining)

    draining = ["draining"]
    await until(is_known, 10)

    assert program.exit_code is None


@pytest.mark.parametrize("is_first", [False, True], ids=["a process", "process 1"])
async def test_a_worker_that_is_told_to_stop_before_it_has_begun_stops_at_once(
    cluster: Cluster, processes: Processes, is_first: bool
) -> None:
    """As process 1 of a container it would lose a signal for which it has no handler yet."""
    program = processes.start_as_process_1("all") if is_first else processes.start_as_is("all")
    await until(lambda: program.catches(signal.SIGTERM))
    program.send(signal.SIGTERM)

    assert await program.until_exit() == 0
    assert program.messages() == []


async def test_a_second_signal_ends_it_at_once_and_its_message_comes_again(
    sender: Sender, processes: Processes
) -> None:
    program = await start_with_a_hanging_send(sender, processes)
    program.send(signal.SIGTERM)
    await program.until_says("draining")
    assert program.exit_code is None
    program.send(signal.SIGTERM)
    assert await program.until_exit() == 1
    assert not any("not done within" in message for message in program.messages())
    await until(lambda: _is_waiting(sender.cluster, {"outbound-sender": 1}))


async def test_what_is_not_done_in_time_comes_again(sender: Sender, processes: Processes) -> None:
    program = await start_with_a_hanging_send(sender, processes, DRAIN_SECONDS="1")
    program.send(signal.SIGTERM)
    await program.until_says("not done within DRAIN_SECONDS (1)")
    assert await program.until_exit() == 0
    await until(lambda: _is_waiting(sender.cluster, {"outbound-sender": 1}))


async def test_without_postgresql_it_stops_in_time_and_what_is_in_hand_comes_again(
    cluster: Cluster, processes: Processes
) -> None:
    async with Proxy.before(cluster.database_url) as proxy:
        program = processes.start_shipped(
            "inbound-resolver", DATABASE_URL=proxy.url(cluster.database_url), DRAIN_SECONDS="1"
        )
        await program.until_ready()
        proxy.refuse()
        await publish_inbound(cluster, 1)
        await program.until_says("consuming pauses")
        url = await program.url()
        await until(lambda: _has_rabbitmq(url))
        program.send(signal.SIGTERM)
        assert await program.until_exit() == 0
    await until(lambda: _is_waiting(cluster, {"inbound-resolver": 1}))


async def test_a_draining_worker_gives_back_at_once_what_waits_for_postgresql(
    cluster: Cluster, processes: Processes
) -> None:
    """It does not wait for what others can do; and it has time enough to wait."""
    numbers = itertools.count(1)

    async def one_is_left_waiting() -> bool:
        """Until the broker knows that consuming pauses, it hands out what comes."""
        await publish_inbound(cluster, next(numbers))
        return await cluster.depth("inbound-resolver") > 0

    async with Proxy.before(cluster.database_url) as proxy:
        program = processes.start_shipped(
            "inbound-resolver", DATABASE_URL=proxy.url(cluster.database_url), DRAIN_SECONDS="600"
        )
        await program.until_ready()
        proxy.refuse()
        await publish_inbound(cluster, next(numbers))
        await program.until_says("consuming pauses")
        await until(one_is_left_waiting)
        program.send(signal.SIGTERM)
        assert await program.until_exit() == 0
    published = next(numbers) - 1
    await until(lambda: _is_waiting(cluster, {"inbound-resolver": published}))
    left = await cluster.take("inbound-resolver")

    assert not left[-1].redelivered


async def test_a_database_that_hangs_does_not_keep_it(cluster: Cluster, processes: Processes) -> None:
    async with Proxy.before(cluster.database_url) as proxy:
        program = processes.start_shipped(
            "all", DATABASE_URL=proxy.url(cluster.database_url), DRAIN_SECONDS="1"
        )
        await program.until_ready()
        proxy.swallow()
        await publish_inbound(cluster, 1)
        await until(lambda: _is_waiting(cluster, {}))
        program.send(signal.SIGTERM)
        assert await program.until_exit() == 0
    await until(lambda: _is_waiting(cluster, {"inbound-resolver": 1}))


@pytest.mark.parametrize("how", ["refuse", "swallow"])
async def test_without_rabbitmq_it_stops_in_time_and_nothing_is_lost(
    cluster: Cluster, processes: Processes, how: str
) -> None:
    async with Proxy.before(cluster.rabbitmq_url) as proxy:
        program = processes.start(
            "inbound-resolver", RABBITMQ_URL=proxy.url(cluster.rabbitmq_url), DRAIN_SECONDS="1"
        )
        await program.until_ready()
        async with cluster.conn.transaction():
            await cluster.conn.execute("lock table message_tracking")
            await publish_inbound(cluster, 1)
            await until(lambda: has_in_hand(cluster))
            getattr(proxy, how)()
        await until(lambda: _are_done(cluster, "message_tracking", 1))
        program.send(signal.SIGTERM)
        assert await program.until_exit() == 0
    async with cluster.running("inbound-resolver"):
        await until(lambda: _are_done(cluster, _LOADS["inbound-resolver"].done, 1))

    assert keys_told(cluster, "inbound.enriched") == ["wamid.1"]


@pytest.mark.parametrize("server", ["RABBITMQ_URL", "DATABASE_URL", "REDIS_URL"])
async def test_a_worker_that_waits_for_a_server_stops_as_well(
    cluster: Cluster, processes: Processes, server: str
) -> None:
    url = cluster.environment()[server]
    async with Proxy.before(url) as proxy:
        proxy.refuse()
        program = processes.start_shipped("all", **{server: proxy.url(url)})
        await program.until_says("ready" if server == "REDIS_URL" else "trying again")
        program.send(signal.SIGTERM)

        assert await program.until_exit() == 0


async def test_a_worker_without_work_does_not_wait_for_postgresql_when_it_stops(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Its hands are empty once it has given back; by then it waits for a try."""
    cluster.durations = replace(cluster.durations, give_back_s=1.5)
    caplog.set_level("INFO")
    async with (
        Proxy.before(cluster.database_url) as proxy,
        cluster.running("inbound-resolver", DATABASE_URL=proxy.url(cluster.database_url)),
    ):
        await until(lambda: "ready" in caplog.messages)
        proxy.refuse()
        await publish_inbound(cluster, 1)
        await until(lambda: "consuming pauses" in caplog.text)
        await until(lambda: _is_waiting(cluster, {"inbound-resolver": 1}))

    assert "not done within DRAIN_SECONDS" not in caplog.text


async def _has_rabbitmq(url: str) -> bool:
    verdict = (await get(url, "/health"))[1]
    return bool(verdict["checks"]["rabbitmq"]["status"] == "ok")


async def start_with_a_hanging_send(sender: Sender, processes: Processes, **environ: str) -> Program:
    """A sender whose request is not answered, at production's patience."""
    hanging = "491700000903"
    program = processes.start_shipped(
        "outbound-sender", WHATSAPP_API_URL=sender.url, WHATSAPP_PHONE_NUMBER_ID=NUMBER, **environ
    )
    await sender.ask(text(customer=hanging))
    await until(lambda: _is_accepted(sender, hanging))
    return program


async def track_sent(cluster: Cluster, wanted: bool) -> None:
    """Sent messages for statuses to arrive at."""
    if wanted:
        await cluster.conn.execute(
            """insert into message_tracking (mapping_id, direction, status, wamid)
               select $1, 'OUTBOUND', 'sent', 'wamid.' || number from generate_series(0, $2 - 1) as number""",
            await add_mapping(cluster.conn),
            _MESSAGES,
        )


async def _are_done(cluster: Cluster, rows: str, least: int) -> bool:
    return await count(cluster, rows) >= least


async def _is_accepted(sender: Sender, customer: str) -> bool:
    return bool(await sender.sandbox.messages(customer))


async def _is_waiting(cluster: Cluster, waiting: Mapping[str, int]) -> bool:
    return await waiting_messages(cluster) == waiting
