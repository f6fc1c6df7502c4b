"""Faults of RabbitMQ: gone, out of memory or disk (publishers blocked), a full queue (publishes rejected)."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import requests

from deploy import stack
from deploy.stack import Kind
from shared.errors import StackError
from tests.faults.fault import FaultKind, FaultUnavailableError
from tests.faults.injections.stopping import Stopped, stop_kinds
from tests.faults.place import Place
from tests.support.waiting import until

STOPPED: Final = Stopped(Kind.RABBITMQ, signal.SIGTERM)
KILLED: Final = Stopped(Kind.RABBITMQ, signal.SIGKILL)

_POLICY: Final = "full-queue"
_TIMEOUT_S: Final = 10
#: `rabbitmqctl` arguments that raise each alarm, and those that end it (RabbitMQ's defaults).
_ALARMS: Final = {
    "memory": (("set_vm_memory_high_watermark", "0.000001"), ("set_vm_memory_high_watermark", "0.4")),
    "disk": (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "50MB")),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """A resource alarm: RabbitMQ reads nothing more from connections that publish."""

    resource: Literal["memory", "disk"]

    @property
    def name(self) -> str:
        return f"rabbitmq {self.resource} alarm"

    async def strike(self, place: Place) -> None:
        """Raise it; returns once it is in force. Raises FaultUnavailableError where RabbitMQ is not ours."""
        try:
            await self._tell(place, _ALARMS[self.resource][0])
        except StackError as error:
            raise FaultUnavailableError(str(error)) from error
        await _wait_for_alarm(place, self.resource, is_on=True)

    async def heal(self, place: Place) -> None:
        """End it; returns once publishers are let go."""
        await self._tell(place, _ALARMS[self.resource][1])
        await _wait_for_alarm(place, self.resource, is_on=False)

    async def _tell(self, place: Place, arguments: tuple[str, ...]) -> None:
        await asyncio.to_thread(stack.control_rabbitmq, place.stack_root, *arguments)


@dataclass(frozen=True, slots=True)
class FullQueue:
    """Queues that take no more: a policy allows them nothing, and publishes to them are rejected.

    `pattern`: a regular expression of queue names. `virtual_host`: where they are.
    """

    pattern: str
    virtual_host: str = "/"

    @property
    def name(self) -> str:
        return f"queue {self.pattern.strip('^$')} full"

    async def strike(self, place: Place) -> None:
        """Set the policy; returns once RabbitMQ has applied it to the queues."""
        definition = {"max-length": 0}
        policy = {"pattern": self.pattern, "definition": definition, "apply-to": "queues", "priority": 9}
        await self._ask(place, "PUT", policy)

    async def heal(self, place: Place) -> None:
        """Remove the policy."""
        await self._ask(place, "DELETE", None)

    async def _ask(self, place: Place, method: str, policy: dict[str, Any] | None) -> None:
        path = f"policies/{quote(self.virtual_host, safe='')}/{_POLICY}"
        answer = await asyncio.to_thread(_call_management, place, method, path, policy)
        if method != "DELETE" or answer.status_code != requests.codes.not_found:
            answer.raise_for_status()


async def _wait_for_alarm(place: Place, resource: str, *, is_on: bool) -> None:
    async def is_so() -> bool:
        answer = await asyncio.to_thread(_call_management, place, "GET", "health/checks/alarms")
        names = [str(alarm["resource"]) for alarm in answer.json().get("alarms", ())]
        return any(name.startswith(resource) for name in names) is is_on

    await until(is_so, timeout_s=_TIMEOUT_S)


def _call_management(
    place: Place, method: str, path: str, body: dict[str, Any] | None = None
) -> requests.Response:
    url = f"{place.servers.rabbitmq_management_url.rstrip('/')}/api/{path}"
    return requests.request(method, url, json=body, timeout=_TIMEOUT_S)


def virtual_host_of(rabbitmq_url: str) -> str:
    """Name of the virtual host that an AMQP URL names."""
    return urlsplit(rabbitmq_url).path[1:] or "/"


def _kinds() -> Iterator[FaultKind]:
    yield from stop_kinds(Kind.RABBITMQ, signal.SIGTERM)
    faults: tuple[Alarm | FullQueue, ...] = (
        Alarm("memory"),
        Alarm("disk"),
        FullQueue(r"^inbound\.enriched$"),
        FullQueue(r"\.retry\.|^dlq-handler$"),
    )
    for fault in faults:
        yield FaultKind(fault.name, partial(_keep, fault), lasts_s=(2.0, 12.0))


def _keep(fault: Alarm | FullQueue, _: Random) -> Alarm | FullQueue:
    return fault


KINDS: Final = tuple(_kinds())
