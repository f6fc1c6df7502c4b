"""What RabbitMQ's management plugin tells and AMQP does not: bindings, and the rates of queues.

Asked only where RABBITMQ_MANAGEMENT_URL says where it answers. Nothing is changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from shared.errors import BrokerUnavailable
from shared.masking import mask_secrets, mask_url

_ANSWER_S: Final = 5.0
#: How messages leave a queue: acknowledged, or to who need not acknowledge.
_OUT: Final = ("ack_details", "deliver_no_ack_details", "get_no_ack_details")
_COLUMNS: Final = ",".join(
    ("name", "messages_unacknowledged", *(f"message_stats.{name}" for name in ("publish_details", *_OUT)))
)


@dataclass(frozen=True, slots=True)
class QueueRates:
    """Messages a second into a queue and out of it, and how many are in consumers' hands."""

    in_per_s: float
    out_per_s: float
    in_hand: int


async def read_bindings(url: str, host: str) -> set[tuple[str, str, str]]:
    """Source, queue and key of every binding of a queue in a virtual host. Raises BrokerUnavailable."""
    rows = await _ask(url, f"bindings/{quote(host, safe='')}")
    return {
        (row["source"], row["destination"], row["routing_key"])
        for row in rows
        if row["destination_type"] == "queue"
    }


async def read_rates(url: str, host: str) -> Mapping[str, QueueRates]:
    """Of every queue in a virtual host, over the plugin's last seconds. Raises BrokerUnavailable."""
    rows = await _ask(url, f"queues/{quote(host, safe='')}?columns={_COLUMNS}")
    return {
        row["name"]: QueueRates(
            in_per_s=_rate(row, "publish_details"),
            out_per_s=sum(_rate(row, name) for name in _OUT),
            in_hand=row.get("messages_unacknowledged", 0),
        )
        for row in rows
    }


def _rate(row: Mapping[str, Any], name: str) -> float:
    """0 of a queue where nothing has moved yet: the plugin leaves that out."""
    return float(row.get("message_stats", {}).get(name, {}).get("rate", 0.0))


async def _ask(url: str, path: str) -> list[dict[str, Any]]:
    url = url.rstrip("/")
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
            session.get(f"{url}/api/{path}") as response,
        ):
            rows: list[dict[str, Any]] = await response.json()
            return rows
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        why = mask_secrets(f"{type(error).__name__}: {error}")[:200].rstrip(": ")
        raise BrokerUnavailable(f"{mask_url(url)}: {why}") from error
