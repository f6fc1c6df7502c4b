"""The nudge: look whether notices are due. It orders nothing: lost or repeated, nothing goes wrong."""

from typing import Final
from uuid import uuid4

from shared.amqp.delivery import Publication
from shared.amqp.topology import JOBS
from shared.payloads import Payload, encode

#: Routing key on `wa.jobs`; internal.
DUE_KEY: Final = "notify.due"
#: Notices that one nudge has decided: those of a transaction.
PER_NUDGE: Final = 100


class NoticeNudge(Payload):
    """Look whether notices are due."""


def nudge() -> Publication:
    """What the scheduler publishes for each so many due notices."""
    return Publication(
        exchange=JOBS,
        routing_key=DUE_KEY,
        body=encode(NoticeNudge()),
        type=NoticeNudge.__name__,
        idempotency_key=str(uuid4()),
        correlation_id=uuid4().hex,
        mandatory=True,
    )
