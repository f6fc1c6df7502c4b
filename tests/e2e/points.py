"""Points between the steps that all workers take. Those of one worker stand with its tests."""

from typing import Final

from tests.support.crashing import CrashPoint

_OUTBOX: Final = "shared.durable.outbox:Outbox"
_PUBLISHER: Final = "shared.amqp.kept.publisher:KeptPublisher"
_INLET: Final = "shared.amqp.kept.inlet:KeptInlet"


def before(at: str, nth: int = 1, showing: str | None = None) -> CrashPoint:
    """Before a call begins."""
    return CrashPoint(at, "before", nth, showing)


def after(at: str, nth: int = 1, showing: str | None = None) -> CrashPoint:
    """After a call has returned."""
    return CrashPoint(at, "after", nth, showing)


def commit_to_publish(event_type: str) -> CrashPoint:
    """The change is committed, its event of this type is not published."""
    return before(f"{_OUTBOX}.publish", showing=f"event_type='{event_type}'")


def publish_to_mark(name: str) -> CrashPoint:
    """The event of this name, or the payload, is published and confirmed, and not marked so."""
    return after(f"{_PUBLISHER}.publish", showing=f"='{name}'")


def before_ack(queue: str, nth: int = 1) -> CrashPoint:
    """All is done but the acknowledgement."""
    return before(f"{_INLET}.acknowledge", nth, showing=f"queue='{queue}'")
