"""What the sandbox accepted and refused: the record that tests hold the sender's claims against.

Owns counting and remembering. A message is recorded before its answer, so one never answered is here too.
"""

import base64
import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.sandbox.customers import Addressee
from deploy.sandbox.send_request import SendRequest

#: messages remembered; of more, the oldest are forgotten (the counts go on). About 600 bytes each.
CAPACITY = 1_000_000


@dataclass(slots=True)
class AcceptedMessage:
    """One accepted message. `to`: digits or id as dialled. `received_at`: epoch seconds.

    `phone_hidden`: answer and statuses name the id alone. `answered`: the connection took the answer.
    """

    wamid: str
    to: str
    recipient: Addressee
    phone_hidden: bool
    phone_number_id: str
    type: str
    callback_data: str | None
    received_at: float
    answered: bool = False

    @property
    def named(self) -> Addressee:
        """The recipient as answer and statuses name them."""
        return Addressee(None, self.recipient.user_id) if self.phone_hidden else self.recipient

    def describe(self) -> dict[str, object]:
        """The message as `GET /_sandbox/messages` shows it."""
        return {
            "wamid": self.wamid,
            "to": self.to,
            "wa_id": self.recipient.wa_id,
            "user_id": self.recipient.user_id,
            "phone_number_id": self.phone_number_id,
            "type": self.type,
            "callback_data": self.callback_data,
            "time": datetime.fromtimestamp(self.received_at, UTC).isoformat().replace("+00:00", "Z"),
            "answered": self.answered,
        }


def make_wamid(recipient: str) -> str:
    """A message id as the platform forms them: unique, across sandboxes and restarts, whatever the seed."""
    raw = b"\x1d" + recipient.encode() + b"\x15\x02\x00\x11\x18\x14" + os.urandom(12)
    return f"wamid.{base64.b64encode(raw).decode()}"


class Ledger:
    """In memory, oldest first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._messages: deque[AcceptedMessage] = deque(maxlen=capacity)
        self.accepted_by_number: Counter[str] = Counter()
        self.refused_by_code: Counter[str] = Counter()

    def accept(
        self, request: SendRequest, phone_number_id: str, recipient: Addressee, phone_hidden: bool
    ) -> AcceptedMessage:
        """Records a message under a fresh wamid."""
        message = AcceptedMessage(
            wamid=make_wamid(request.recipient),
            to=request.recipient,
            recipient=recipient,
            phone_hidden=phone_hidden,
            phone_number_id=phone_number_id,
            type=request.type,
            callback_data=request.callback_data,
            received_at=time.time(),
        )
        self._messages.append(message)
        self.accepted_by_number[phone_number_id] += 1
        return message

    def count_refusal(self, code: int | None) -> None:
        """`code` None: an answer without a Graph error."""
        self.refused_by_code["none" if code is None else str(code)] += 1

    def messages(self, to: Addressee | None = None) -> Iterator[AcceptedMessage]:
        """What is remembered, in order of acceptance; `to` picks what went to this phone or this id."""
        return (message for message in self._messages if to is None or to.shares(message.recipient))

    def __len__(self) -> int:
        return len(self._messages)
