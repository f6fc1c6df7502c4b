"""Which statuses follow an accepted message, when each happened and when it is told.

Owns the plan as a pure function of message, settings and random source; the telling is in `status_emitter`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from deploy.sandbox.graph_errors import KNOWN_ERRORS
from deploy.sandbox.ledger import AcceptedMessage
from deploy.sandbox.recipients import Behaviour, StatusCourse
from deploy.sandbox.settings import SandboxSettings


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One status of one message; `occurred_at` is whole epoch seconds, as the platform tells it."""

    message: AcceptedMessage
    status: str
    occurred_at: int
    error_code: int | None = None

    @property
    def phone_number_id(self) -> str:
        return self.message.phone_number_id


@dataclass(frozen=True, slots=True)
class PlannedStatus:
    """An event to be told `delay_s` after acceptance."""

    delay_s: float
    event: StatusEvent


def plan_statuses(
    message: AcceptedMessage, behaviour: Behaviour, settings: SandboxSettings, random: Random
) -> list[PlannedStatus]:
    """The statuses, each with the delay after which it is told. Same random state, same plan."""
    match behaviour.statuses:
        case StatusCourse.FAILED:
            delay_s = (settings.status_delay_ms.sent or 0) / 1000
            occurred_at = int(message.received_at + delay_s)
            return [PlannedStatus(delay_s, StatusEvent(message, "failed", occurred_at, behaviour.failure))]
        case StatusCourse.REVERSED_TWICE:
            return _reverse_twice(_plan_normal(message, settings, random))
        case StatusCourse.NORMAL:
            plan = _plan_normal(message, settings, random)
            return list(_repeat(_reorder(plan, settings, random), settings, random))


def _plan_normal(message: AcceptedMessage, settings: SandboxSettings, random: Random) -> list[PlannedStatus]:
    jitter = settings.status_jitter
    plan = []
    for status, delay_ms in settings.status_delay_ms:
        if delay_ms is not None:
            delay_s = delay_ms / 1000 * random.uniform(1 - jitter, 1 + jitter)
            occurred_at = int(message.received_at + delay_s)
            plan.append(PlannedStatus(delay_s, StatusEvent(message, status, occurred_at)))
    return plan


def _reverse_twice(plan: Sequence[PlannedStatus]) -> list[PlannedStatus]:
    events = [planned.event for planned in reversed(plan)]
    delays_s = sorted(planned.delay_s for planned in plan)
    once = [PlannedStatus(delay_s, event) for delay_s, event in zip(delays_s, events, strict=True)]
    span_s = delays_s[-1] if delays_s else 0.0
    return once + [PlannedStatus(planned.delay_s + span_s, planned.event) for planned in once]


def _reorder(plan: list[PlannedStatus], settings: SandboxSettings, random: Random) -> Sequence[PlannedStatus]:
    for index in range(len(plan) - 1):
        if random.random() < settings.reorder:
            first, second = plan[index], plan[index + 1]
            plan[index] = PlannedStatus(second.delay_s, first.event)
            plan[index + 1] = PlannedStatus(first.delay_s, second.event)
    return plan


def _repeat(
    plan: Sequence[PlannedStatus], settings: SandboxSettings, random: Random
) -> Iterator[PlannedStatus]:
    for planned in plan:
        yield planned
        if random.random() < settings.repeat:
            yield PlannedStatus(planned.delay_s * (1 + random.random()), planned.event)


def describe_pricing(event: StatusEvent) -> dict[str, object] | None:
    """Pricing as the platform tells it, with `sent` and `delivered` only."""
    if event.status not in {"sent", "delivered"}:
        return None
    billable = event.message.type == "template"
    return {
        "billable": billable,
        "pricing_model": "PMP",
        "type": "regular" if billable else "free_customer_service",
        "category": "utility" if billable else "service",
    }


def describe_conversation(event: StatusEvent) -> dict[str, object] | None:
    """The conversation, told with `sent` only."""
    if event.status != "sent":
        return None
    category = "utility" if event.message.type == "template" else "service"
    return {
        "id": f"{event.message.phone_number_id}:{event.message.recipient.user_id}",
        "origin": {"type": category},
    }


def error_title(code: int) -> str:
    return KNOWN_ERRORS[code][1]
