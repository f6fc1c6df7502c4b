"""Faults of RabbitMQ: gone, out of memory or disk (publishers blocked), a full queue (publishes rejected)."""

import asyncio
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, Literal

import requests

from deploy import stack
from deploy.stack import Kind
from shared.amqp.topology import ENRICHED, INBOUND_RESOLVER, OUTBOUND_REPLY, STATUS_UPDATER, WORK_QUEUES
from shared.errors import StackError
from tests.faults.fault import EVERY_WAIT, FaultKind, FaultUnavailableError, Wait
from tests.faults.injections.stopping import Stopped, stop_kinds
from tests.faults.place import Place
from tests.support.waiting import until

STOPPED: Final = Stopped(Kind.RABBITMQ, signal.SIGTERM)
KILLED: Final = Stopped(Kind.RABBITMQ, signal.SIGKILL)

_TIMEOUT_S: Final = 10
#: Queues of what shops say and of what follows from it: full together, for the load has none of it.
_OF_SHOPS: Final = r"^shop-updater|^notifier$"
#: Erlang that raises each alarm, and that ends it (RabbitMQ's defaults).
_ALARMS: Final = {
    "memory": (
        "vm_memory_monitor:set_vm_memory_high_watermark(0.000001).",
        "vm_memory_monitor:set_vm_memory_high_watermark(0.4).",
    ),
    "disk": (
        'rabbit_disk_monitor:set_disk_free_limit("1000000GB").',
        'rabbit_disk_monitor:set_disk_free_limit("50MB").',
    ),
}


#: Erlang: the queues of these names configured as they are, or as if an argument of theirs were a limit.
_CONFIGURE: Final = """
[rabbit_quorum_queue:policy_changed({queue})
    || Q <- rabbit_amqqueue:list(), re:run(element(4, amqqueue:get_name(Q)), <<"{pattern}">>) =/= nomatch].
"""
_LIMITED: Final = (
    'amqqueue:set_arguments(Q, [{{<<"x-max-length">>, long, {limit}}} | amqqueue:get_arguments(Q)])'
)
_ROOM: Final = 1_000_000
#: Which wait of a customer goes by which queue; by the others, those of retries, campaigns and operators.
_GOES_BY: Final[dict[str, Wait]] = {
    INBOUND_RESOLVER: "inbound",
    ENRICHED: "inbound",
    OUTBOUND_REPLY: "reply",
    STATUS_UPDATER: "status",
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

    async def _tell(self, place: Place, expression: str) -> None:
        await asyncio.to_thread(stack.evaluate_in_rabbitmq, place.stack_root, expression)


@dataclass(frozen=True, slots=True)
class FullQueue:
    """Queues that take no more, and publishes to them are rejected. `pattern`: a regular expression of names.

    A policy that allows them nothing would not do: what a consumer takes at once is not counted, so a queue
    that is worked refuses nobody. They are told a limit of -1, as by an argument. At the end it is gone;
    or, with `stays_limited`, raised. RabbitMQ 3.10 refuses for ever whom it refused before a limit was taken
    away: a publisher opens another channel, its own dead-lettering from retry tiers does not.
    """

    pattern: str
    stays_limited: bool = False

    @property
    def name(self) -> str:
        queue = self.pattern.strip("^$").replace("\\", "")
        return f"queue {queue} full"

    async def strike(self, place: Place) -> None:
        """Limit them. Raises FaultUnavailableError where RabbitMQ is not ours."""
        try:
            await self._tell(place, _LIMITED.format(limit=-1))
        except StackError as error:
            raise FaultUnavailableError(str(error)) from error

    async def heal(self, place: Place) -> None:
        """Give them room."""
        await self._tell(place, _LIMITED.format(limit=_ROOM) if self.stays_limited else "Q")

    async def _tell(self, place: Place, queue: str) -> None:
        expression = _CONFIGURE.format(queue=queue, pattern=self.pattern.replace("\\", "\\\\"))
        await asyncio.to_thread(stack.evaluate_in_rabbitmq, place.stack_root, expression)


async def _wait_for_alarm(place: Place, resource: str, *, is_on: bool) -> None:
    async def is_so() -> bool:
        answer = await asyncio.to_thread(_ask_management, place, "health/checks/alarms")
        names = [str(alarm["resource"]) for alarm in answer.json().get("alarms", ())]
        return any(name.startswith(resource) for name in names) is is_on

    await until(is_so, timeout_s=_TIMEOUT_S)


def _ask_management(place: Place, path: str) -> requests.Response:
    url = f"{place.servers.rabbitmq_management_url.rstrip('/')}/api/{path}"
    return requests.get(url, timeout=_TIMEOUT_S)


def _kinds() -> Iterator[FaultKind]:
    yield from stop_kinds(Kind.RABBITMQ, signal.SIGTERM)
    faults: tuple[Alarm | FullQueue, ...] = (
        Alarm("memory"),
        Alarm("disk"),
        FullQueue(r"\.retry\.|^dlq-handler$"),
        FullQueue(f"^{re.escape(ENRICHED)}$"),
        FullQueue(_OF_SHOPS, stays_limited=True),
        *(
            FullQueue(f"^{re.escape(queue)}$", stays_limited=True)
            for queue in WORK_QUEUES
            if not re.search(_OF_SHOPS, queue)
        ),
    )
    for fault in faults:
        spares = EVERY_WAIT - _touched(fault) if isinstance(fault, FullQueue) else frozenset()
        yield FaultKind(fault.name, partial(_keep, fault), lasts_s=(2.0, 12.0), spares=spares)


def _touched(fault: FullQueue) -> frozenset[Wait]:
    """What goes by these queues. Nobody waits for a retry or a dead letter that is not their own."""
    waits = (wait for queue, wait in _GOES_BY.items() if re.search(fault.pattern, queue))
    return frozenset(waits)


def _keep(fault: Alarm | FullQueue, _: Random) -> Alarm | FullQueue:
    return fault


KINDS: Final = tuple(_kinds())
