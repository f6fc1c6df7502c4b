"""`wabus worker all`: every worker in one process, as a developer starts it."""

import signal

from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters
from tests.support.http import get
from tests.support.leftovers import count, is_all_told, waiting_messages
from tests.support.processes import Processes
from tests.support.sending import NUMBER, Sender, text
from tests.support.waiting import until

_CUSTOMER = "491700000001"
_RECIPIENTS = ["491700000002", "491700000003"]


async def test_one_process_works_for_every_queue_and_drains(sender: Sender, processes: Processes) -> None:
    async with sender.with_statuses():
        cluster = sender.cluster
        program = processes.start_shipped("all", WHATSAPP_API_URL=sender.url, WHATSAPP_PHONE_NUMBER_ID=NUMBER)
        await program.until_ready()

        inbound = {"wamid": "wamid.1", "timestamp": 1768473000, "wa_id": _CUSTOMER}
        await cluster.publish("wa.inbound", _CUSTOMER, inbound)
        await until(lambda: len(cluster.told("inbound.enriched")) == 1)
        about = {"conversation_id": "conv-1", "communication_id": "c-1", "whatsapp_message_id": "wamid.1"}
        await cluster.publish("wa.correlation", "genesys", about)
        await until(lambda: len(cluster.told("conversation.correlated")) == 1)

        address = {"conversation_id": "conv-1", "wa_id": _CUSTOMER}
        for lane in ("reply", "utility", "bulk"):
            await sender.ask(text(f"c-{lane}", category="service") | address, lane)
        await until(lambda: _are(cluster, "message_tracking where status = 'read'", 3))

        await cluster.publish("wa.broadcast", "campaign.launch", _campaign())
        await until(lambda: _are(cluster, "broadcast_campaigns where status = 'done'", 1))
        await until(lambda: _are(cluster, "message_tracking where status = 'read'", 3 + len(_RECIPIENTS)))
        await cluster.publish("wa.status", "whatsapp", b"no status")
        await until(lambda: _has_letters(cluster, 1))
        await until(lambda: is_all_told(cluster))
        url = await program.url()
        await until(lambda: _is_healthy(url))

        program.send(signal.SIGTERM)
        assert await program.until_exit() == 0
        assert await waiting_messages(cluster) == {}
        sent_to = sorted(item["to"] for item in await sender.sandbox.messages())

        assert sent_to == [*[_CUSTOMER] * 3, *_RECIPIENTS]


async def _is_healthy(url: str) -> bool:
    ready, health = await get(url, "/health/ready"), await get(url, "/health")
    return ready[0] == 200 and health[1]["status"] == "healthy"


def _campaign() -> dict[str, object]:
    return {
        "campaign_id": "spring",
        "phone_number_id": NUMBER,
        "template": {"name": "welcome", "language": "en"},
        "recipients": [{"wa_id": recipient} for recipient in _RECIPIENTS],
    }


async def _are(cluster: Cluster, rows: str, number: int) -> bool:
    return await count(cluster, rows) == number


async def _has_letters(cluster: Cluster, number: int) -> bool:
    return await count_letters(cluster) == number
