"""What the last three digits of a recipient make the sandbox do, as data.

Owns the table of behaviours. `000` to `899`, and whatever does not end in three digits, are normal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from deploy.sandbox.graph_errors import (
    ACCESS_TOKEN_INVALID,
    ACCOUNT_LOCKED,
    COUNTRY_RESTRICTED,
    GENERIC_FAILURE,
    INVALID_PARAMETER,
    NUMBER_GONE_SUBCODE,
    NUMBER_RATE_LIMIT,
    OPTED_OUT,
    PAIR_RATE_LIMIT,
    TEMPLATE_TEXT_TOO_LONG,
    TEMPLATE_UNKNOWN,
    UNDELIVERABLE,
    WINDOW_CLOSED,
    GraphError,
    make_error,
)


class Manner(Enum):
    """How an accepted message is answered."""

    AT_ONCE = auto()
    NEVER = auto()
    CONNECTION_CLOSED = auto()
    LATE = auto()
    AFTER_STATUS = auto()


class StatusCourse(Enum):
    """Which statuses follow an accepted message."""

    NORMAL = auto()
    FAILED = auto()
    REVERSED_TWICE = auto()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`refusal` comes `refusals` times to each recipient (None: every time), then the message is accepted.

    `is_blocked`: a firewall answers in the platform's place. `failure`: the code of a failed course.
    """

    refusal: GraphError | None = None
    refusals: int | None = None
    is_blocked: bool = False
    manner: Manner = Manner.AT_ONCE
    statuses: StatusCourse = StatusCourse.NORMAL
    failure: int = GENERIC_FAILURE


NORMAL = Behaviour()
_BY_LAST_DIGITS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "901": Behaviour(make_error(GENERIC_FAILURE), refusals=1),
        "902": Behaviour(make_error(GENERIC_FAILURE)),
        "903": Behaviour(manner=Manner.NEVER),
        "904": Behaviour(manner=Manner.CONNECTION_CLOSED),
        "905": Behaviour(make_error(NUMBER_RATE_LIMIT, retry_after_s=2), refusals=1),
        "906": Behaviour(
            make_error(WINDOW_CLOSED, "More than 24 hours have passed since the customer last wrote.")
        ),
        "907": Behaviour(make_error(UNDELIVERABLE, "Message undeliverable.")),
        "908": Behaviour(make_error(OPTED_OUT, "The user has chosen to stop marketing messages.")),
        "909": Behaviour(make_error(PAIR_RATE_LIMIT, "Too many messages to this phone number."), refusals=2),
        "910": Behaviour(make_error(ACCESS_TOKEN_INVALID, "Session has expired.")),
        "911": Behaviour(make_error(TEMPLATE_UNKNOWN, "Template name does not exist in the translation.")),
        "912": Behaviour(statuses=StatusCourse.FAILED),
        "913": Behaviour(statuses=StatusCourse.REVERSED_TWICE),
        "914": Behaviour(manner=Manner.AFTER_STATUS),
        "915": Behaviour(manner=Manner.LATE),
        "916": Behaviour(statuses=StatusCourse.FAILED, failure=ACCOUNT_LOCKED),
        "917": Behaviour(make_error(TEMPLATE_TEXT_TOO_LONG, "Translated text too long.")),
        "918": Behaviour(is_blocked=True),
        "919": Behaviour(
            make_error(
                WINDOW_CLOSED,
                "More than 24 hours have passed since the customer last wrote.",
                http_status=200,
            )
        ),
        "920": Behaviour(
            make_error(COUNTRY_RESTRICTED, "The business may not message customers of this country.")
        ),
        "921": Behaviour(
            make_error(
                INVALID_PARAMETER,
                "The phone number does not exist, or the token does not have it.",
                subcode=NUMBER_GONE_SUBCODE,
            )
        ),
    }
)


def behaviour_of(recipient: str) -> Behaviour:
    """The behaviour chosen by a phone number or a business-scoped id."""
    return _BY_LAST_DIGITS.get(recipient[-3:], NORMAL)
