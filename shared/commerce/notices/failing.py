"""What follows for a notice whose message failed: once more, and when, or never. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.messaging.messages.graph_errors import ErrorClass, classify, read_code
from shared.reasons import DeadReason

#: After what may pass, so often.
MOST_RETRIES: Final = 3
_PASSES_IN: Final = timedelta(seconds=300)
#: The platform withholds marketing from a customer for a day.
_WITHHELD: Final = (131049,)
_WITHHELD_FOR: Final = timedelta(hours=24)
_WINDOW_CLOSED: Final = 131047
_PASSING: Final = frozenset(
    {ErrorClass.TRANSIENT, ErrorClass.RATE, ErrorClass.PAIR, ErrorClass.AUTH, ErrorClass.TEMPLATE}
)
_PASSING_REASONS: Final = frozenset(
    {DeadReason.MAX_RETRIES_EXCEEDED, DeadReason.LOCK_TIMEOUT, DeadReason.DATABASE_ERROR}
)


@dataclass(frozen=True, slots=True)
class OnceMore:
    """Decided anew after so long. `as_template`: the window was closed after all, which happens once."""

    after: timedelta
    as_template: bool = False


def once_more(error_code: str | None) -> OnceMore | None:
    """Of a message that failed with this code; None: the notice has failed with it."""
    if error_code in _PASSING_REASONS:
        return OnceMore(_PASSES_IN)
    code = read_code(error_code)
    if code is None:
        return None
    if code == _WINDOW_CLOSED:
        return OnceMore(timedelta(), as_template=True)
    if code in _WITHHELD:
        return OnceMore(_WITHHELD_FOR)
    return OnceMore(_PASSES_IN) if classify(None, code) in _PASSING else None
