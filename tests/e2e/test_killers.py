"""A message that kills its worker each time: it ends dead-lettered, and takes no neighbour along."""

from collections import Counter

import orjson

from tests.e2e.points import before
from tests.support.cluster import Cluster
from tests.support.dead_letters import letters
from tests.support.leftovers import count, keys_told, work_off
from tests.support.processes import KILLED, Processes
from tests.support.sending import Sender, text
from tests.support.waiting import until

_KILLER = "491700009999"
_NEIGHBOURS = [f"4917000000{number:02}" for number in range(50)]
_CUSTOMERS = [*_NEIGHBOURS[:25], _KILLER, *_NEIGHBOURS[25:]]


async def test_a_killer_of_the_resolver_dies_alone(cluster: Cluster, processes: Processes) -> None:
    for customer in _CUSTOMERS:
        await cluster.publish("wa.inbound", customer, _inbound(customer))
    point = "workers.inbound_resolver.store:MessageStore.resolve"
    await _die_until_given_up(cluster, processes, "inbound-resolver", point)
    async with cluster.running("inbound-resolver"):
        await until(lambda: _are_tracked(cluster, "published_at is not null"))
    await work_off(cluster, "inbound-resolver")
    await _assert_one_is_dead(cluster, "inbound-resolver", _inbound(_KILLER))

    assert set(keys_told(cluster, "inbound.enriched")) == {f"wamid.{item}" for item in _NEIGHBOURS}


async def test_a_killer_of_the_sender_dies_alone(sender: Sender, processes: Processes) -> None:
    """Neighbours under way when it first strikes are ambiguous: a reply may be sent twice."""
    cluster = sender.cluster
    cluster.environ |= {"WHATSAPP_API_URL": sender.url, "WHATSAPP_NUMBER_MPS": "100000"}
    for customer in _CUSTOMERS:
        await sender.ask(text(f"c{customer}", customer))
    point = "workers.outbound_sender.sending:Sending.send"
    await _die_until_given_up(cluster, processes, "outbound-sender", point)
    async with cluster.running("outbound-sender", "scheduler"):
        await until(lambda: _are_tracked(cluster, "status = 'sent'"))
    await work_off(cluster, "outbound-sender", "scheduler")
    await _assert_one_is_dead(cluster, "outbound-sender", text(f"c{_KILLER}", _KILLER))
    sent = Counter(item["to"] for item in await sender.sandbox.messages())

    assert set(sent) == set(_NEIGHBOURS)
    assert max(sent.values()) <= 2
    assert (await sender.row(f"c{_KILLER}"))["status"] == "failed"


def _inbound(customer: str) -> dict[str, object]:
    return {"wamid": f"wamid.{customer}", "timestamp": 1768473000, "wa_id": customer}


async def _die_until_given_up(cluster: Cluster, processes: Processes, name: str, at: str) -> None:
    """Start the worker anew each time it has died, as an orchestrator does."""
    deaths = 0
    async with cluster.running("dlq-handler"):
        while not _is_given_up(cluster):
            program = processes.start(name, before(at, showing=_KILLER), LOCK_TTL_SECONDS="1")
            await until(lambda: program.exit_code is not None or _is_given_up(cluster))  # noqa: B023
            if program.exit_code is None:
                program.end()
            else:
                assert program.exit_code == KILLED
                deaths += 1
                await until(lambda: _is_given_back(cluster, name))
    assert deaths == cluster.durations.delivery_limit + 1


async def _is_given_back(cluster: Cluster, queue: str) -> bool:
    """Whether the broker has noticed the death."""
    return await cluster.depth(queue) > 0 or _is_given_up(cluster)


def _is_given_up(cluster: Cluster) -> bool:
    return bool(cluster.told("deadletter.stored"))


async def _are_tracked(cluster: Cluster, how: str) -> bool:
    return await count(cluster, f"message_tracking where {how}") == len(_NEIGHBOURS)


async def _assert_one_is_dead(cluster: Cluster, queue: str, message: dict[str, object]) -> None:
    [letter] = await letters(cluster)
    assert (letter["reason"], letter["source_queue"]) == ("delivery_limit", queue)
    assert letter["raw_body"] == orjson.dumps(message)
