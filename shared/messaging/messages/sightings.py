"""A status event beside the message that it is about, and what its error says. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.messaging.messages.graph_errors import ErrorClass, classify, describe_error, read_code
from shared.messaging.messages.scopes import Failure
from shared.messaging.messages.states import EVENT_STATES, MessageStatus
from shared.messaging.messages.values import StatusEvent


@dataclass(frozen=True, slots=True)
class Sighting:
    """An event matched to a message; `attempt` is the number of the one it belongs to, 0 for none.

    `variable`: which one of a template it is about, where a parameter was refused.
    """

    event: StatusEvent
    event_id: int | None = None
    attempt: int = 0
    variable: str = ""

    @property
    def state(self) -> MessageStatus | None:
        """The state it is evidence of."""
        return EVENT_STATES.get(self.event.status)

    @property
    def is_failure(self) -> bool:
        """Whether it says that the message failed."""
        return self.state is MessageStatus.FAILED

    @property
    def error_code(self) -> str | None:
        """The platform's code, or our own word, of a failure."""
        said = self._error.get("code")
        code = read_code(said)
        return str(code) if code is not None else None if said is None else str(said)

    @property
    def error_message(self) -> str | None:
        """What a person reads of the failure."""
        said = describe_error(self._error)
        return f"{said} [{self.variable}]" if self.variable else said or None

    @property
    def error_class(self) -> ErrorClass:
        """Class of a failure's code."""
        error = self._error
        return classify(None, read_code(error.get("code")), subcode=read_code(error.get("error_subcode")))

    @property
    def _error(self) -> Mapping[str, object]:
        return self.event.errors[0] if self.event.errors else {}


def failure_of(message_id: UUID, item: Sighting) -> Failure:
    """A failed sighting as others hear of it."""
    return Failure(
        message_id, item.attempt, item.error_class, item.error_code or "unknown", item.error_message or ""
    )
