"""Types of the fields that payloads share: identifiers, customers' ids, names and times.

Owns the rule of each kind of field and the words in which a breach is reported, which never repeat the
value. NUL characters, halves of surrogate pairs and numbers without a finite value are `decoding`'s, for a
whole body.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import CoreSchema, core_schema

from shared.payloads.clock import CLOCK
from shared.payloads.schema_rules import TIME_IN, TIME_OUT, Ignorable, or_nothing

T = TypeVar("T")

CUSTOMER_ID_LENGTH: Final = 160
CONTACT_NAME_LENGTH: Final = 255

_BUSINESS_SCOPED_ID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]+")
#: Scheme and host of a URL, up to where its path or query begins.
_AUTHORITY_OF_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*(?=[/?#])")
#: What people and phones put into names of files: the blanks of all scripts, no line break, no tab.
_BLANK: Final = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_EPOCH_TEXT: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_TIME_TEXT_LENGTH: Final = 64
_NO_TIME: Final = "neither ISO 8601 text nor epoch seconds or milliseconds"
_EARLIEST_S: Final = datetime(2009, 1, 1, tzinfo=UTC).timestamp()
_LATEST_PLAN_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_DAY_S: Final = 86_400.0
#: Epoch numbers from here on are milliseconds: as seconds it is the year 5138, as milliseconds 1973.
_MILLISECONDS_FROM: Final = 1e11


def _normalise_customer_id(value: str) -> str:
    digits = value.removeprefix("+").removeprefix("00")
    if digits.startswith("0"):
        raise ValueError("a number that begins with 0 is not international: write it with its country code")
    if digits.isdigit() and digits.isascii() and 5 <= len(digits) <= 20:
        return digits
    if _BUSINESS_SCOPED_ID.fullmatch(value) and len(value) <= CUSTOMER_ID_LENGTH:
        return value
    raise ValueError(
        f"neither a phone number (5 to 20 digits, a leading + or 00 tolerated) nor a business-scoped id"
        f" (CC.xxxx, at most {CUSTOMER_ID_LENGTH} characters)"
    )


def read_customer_id(value: object) -> str | None:
    """A phone's digits or a business-scoped id, wherever it stands; None for what is neither."""
    if not isinstance(value, str):
        return None
    try:
        return _normalise_customer_id(value)
    except ValueError:
        return None


def _epoch_s(value: object) -> float:
    """Seconds since 1970 of a time in any accepted form; the caller judges the range, NaN included."""
    if isinstance(value, str) and len(value) <= _TIME_TEXT_LENGTH:
        return _from_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    if isinstance(value, datetime):
        return _as_utc(value).timestamp()
    raise ValueError(_NO_TIME)


def _from_text(value: str) -> float:
    if _EPOCH_TEXT.fullmatch(value):
        return _from_number(float(value))
    try:
        return _as_utc(datetime.fromisoformat(value)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(_NO_TIME) from None


def _from_number(value: float) -> float:
    """Milliseconds are known by their size. JSON's integers have no limit, a float's division has one."""
    return value if value < _MILLISECONDS_FROM else min(value, 10**18) / 1000


def _as_utc(value: datetime) -> datetime:
    """No zone means UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def parse_event_time(value: object) -> datetime:
    """Time at which something happened, in UTC. ValueError outside 2009 to now + 1 day."""
    epoch_s = _epoch_s(value)
    if _EARLIEST_S <= epoch_s <= CLOCK.time() + _DAY_S:
        return datetime.fromtimestamp(epoch_s, UTC)
    raise ValueError("outside 2009 to now + 1 day")


def parse_planned_time(value: object) -> datetime:
    """Time at which something is to happen, in UTC: past or future. ValueError outside 2009 to 2100."""
    epoch_s = _epoch_s(value)
    if _EARLIEST_S <= epoch_s <= _LATEST_PLAN_S:
        return datetime.fromtimestamp(epoch_s, UTC)
    raise ValueError("outside 2009 to 2100")


def null_means(default: object, kind: Any) -> BeforeValidator:
    """An explicit null, or an empty text, in a field of this kind is as good as no value."""
    return BeforeValidator(
        lambda value: default if value is None or value == "" else value,
        json_schema_input_type=Annotated[kind | None, _EmptyIsAbsent()],
    )


class _EmptyIsAbsent:
    """An empty text in a field that may be absent is as if it were."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: None if value == "" else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        return or_nothing(found) if handler.mode == "validation" else found


def _take_or_drop(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """What has the wrong shape is absent; the caller's list, where it gave one, learns the field's name."""
    try:
        return handler(value)
    except ValidationError:
        if isinstance(info.context, list):
            info.context.append(info.field_name)
        return None


def _refuse_replaced(value: str) -> str:
    if "\N{REPLACEMENT CHARACTER}" in value:
        raise ValueError("holds a character that was replaced")
    return value


def _write_blanks(url: str) -> str:
    """A blank in path or query as a URL writes it; around a URL it means nothing, in a host nothing good."""
    url = url.strip(" ")
    authority = _AUTHORITY_OF_URL.match(url)
    if authority is None:
        return url
    return url[: authority.end()] + _BLANK.sub(lambda blank: quote(blank[0]), url[authority.end() :])


def _require_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time without a zone")
    return value.astimezone(UTC)


def _customer_id_schema(phone: str) -> dict[str, Any]:
    pattern = f"^({phone}|{_BUSINESS_SCOPED_ID.pattern})$"
    return {"type": "string", "maxLength": CUSTOMER_ID_LENGTH, "pattern": pattern}


#: When something happened: any accepted form in, UTC inside.
EventTime = Annotated[
    datetime,
    PlainValidator(parse_event_time),
    WithJsonSchema(TIME_IN, mode="validation"),
    WithJsonSchema(TIME_OUT, mode="serialization"),
]
#: When something is to happen: the same forms.
PlannedTime = Annotated[
    datetime,
    PlainValidator(parse_planned_time),
    WithJsonSchema(TIME_IN, mode="validation"),
    WithJsonSchema(TIME_OUT, mode="serialization"),
]
#: A time that the cluster itself reports.
UtcTime = Annotated[datetime, AfterValidator(_require_zone), WithJsonSchema(TIME_OUT)]

#: Phone digits without `+`, or a business-scoped id verbatim.
CustomerId = Annotated[
    str,
    AfterValidator(_normalise_customer_id),
    WithJsonSchema(_customer_id_schema(r"(?:\+|00|\+00)?[1-9][0-9]{4,19}"), mode="validation"),
    WithJsonSchema(_customer_id_schema("[1-9][0-9]{4,19}"), mode="serialization"),
]
#: A message id of WhatsApp.
Wamid = Annotated[str, StringConstraints(min_length=1, max_length=255)]
#: An id or short name of anything else.
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=100)]
#: What may be absent: null and an empty text are as if it were.
Maybe = Annotated[T | None, _EmptyIsAbsent()]
#: What decides nothing: in the wrong shape it is dropped, and its message goes on.
Side = Annotated[T | None, _EmptyIsAbsent(), WrapValidator(_take_or_drop), Ignorable()]
#: A customer's id that is kept as it came, in whatever form.
ForeignCustomerId = Annotated[str, StringConstraints(min_length=1, max_length=CUSTOMER_ID_LENGTH)]
#: A name people chose: cut, not refused.
ContactName = Annotated[str, AfterValidator(lambda name: name[:CONTACT_NAME_LENGTH])]
#: Ids in fields that decide nothing.
SideIdentifier = Annotated[Identifier, AfterValidator(_refuse_replaced)]
SideCustomerId = Annotated[ForeignCustomerId, AfterValidator(_refuse_replaced)]
#: Where media lies, with blanks as URLs write them.
MediaUrl = Annotated[str, Field(min_length=1), AfterValidator(_write_blanks)]
#: Text that means nothing when empty.
Text = Annotated[str, Field(min_length=1)]
