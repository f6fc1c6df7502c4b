"""Times and customers' ids, in every form that gateways send."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.payloads.fields import ContactName, CustomerId, parse_event_time, parse_planned_time

WHEN = datetime(2024, 5, 6, 7, 8, 9, 250_000, tzinfo=UTC)
CUSTOMER_ID = TypeAdapter(CustomerId)

FORMS_OF_ONE_INSTANT: list[object] = [
    "2024-05-06T07:08:09.250Z",
    "2024-05-06T07:08:09.250",
    "2024-05-06 07:08:09.250",
    "2024-05-06T09:08:09.250+02:00",
    "2024-05-06T02:08:09.250-05:00",
    "20240506T070809.250Z",
    1714979289.25,
    "1714979289.25",
    1714979289250,
    "1714979289250",
    1714979289250.0,
    WHEN,
]

NO_TIMES: list[object] = [
    "",
    "soon",
    "1_714_979_289",
    "+1714979289",
    " 1714979289",
    "1714979289 ",
    "1.7e9",
    "١٧١٤٩٧٩٢٨٩",
    "2024-13-01T00:00:00Z",
    "2024-05-06T25:00:00Z",
    "NaN",
    "Infinity",
    "9" * 5000,
    True,
    False,
    None,
    [],
    {},
    b"1714979289",
]

TIMES_OUT_OF_RANGE: list[object] = [
    0,
    -1,
    1230767999,
    "2008-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    float("inf"),
    float("-inf"),
    float("nan"),
    1e300,
    10**4000,
    -(10**4000),
    1714979289250_000,
    1714979289250_000_000,
    "99999999999999999999",
]

CUSTOMER_IDS: list[tuple[str, str]] = [
    ("491700000001", "491700000001"),
    ("+491700000001", "491700000001"),
    ("12345", "12345"),
    ("1" * 20, "1" * 20),
    ("DE.8842", "DE.8842"),
    ("US.aB3xYz", "US.aB3xYz"),
    ("DE.ENT.77", "DE.ENT.77"),
    ("US." + "a" * 157, "US." + "a" * 157),
]

NO_CUSTOMER_IDS: list[str] = [
    "",
    "+",
    "1234",
    "1" * 21,
    "++491700000001",
    "+49 170 0000001",
    "+49-170-0000001",
    "491700000001\n",
    " 491700000001",
    "٤٩١٧٠٠٠٠٠٠٠١",
    "49170000000²",
    "DE.",
    "DE.ENT.",
    "DE.ENT.7.8",
    "de.8842",
    "DEU.8842",
    "DE8842",
    "+DE.8842",
    "DE.88-42",
    "DE.8842\n",
    "DE.ünicode",
    "DE." + "a" * 158,
    "ana@example.org",
]

seconds = st.integers(int(datetime(2009, 1, 2, tzinfo=UTC).timestamp()), int(WHEN.timestamp()))
instants = seconds.map(lambda epoch_s: datetime.fromtimestamp(epoch_s, UTC))
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "value",
    FORMS_OF_ONE_INSTANT,
)
def test_every_form_of_one_instant_is_that_instant_in_utc(value: object) -> None:
    assert parse_event_time(value) == WHEN
    assert parse_event_time(value).tzinfo is UTC
    assert parse_planned_time(value) == WHEN


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own zone is another one."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "XYZ-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize("value", ["2024-05-06T07:08:09.250", WHEN.replace(tzinfo=None)])
def test_no_zone_means_utc_whatever_zone_the_machine_is_in(value: object) -> None:
    assert parse_event_time(value) == WHEN
    assert parse_planned_time(value) == WHEN


@given(instants, st.integers(0, 999), zones)
def test_text_seconds_and_milliseconds_of_an_instant_agree(
    instant: datetime, millisecond: int, zone: timezone
) -> None:
    whole = instant + timedelta(milliseconds=millisecond)
    milliseconds = int(instant.timestamp()) * 1000 + millisecond

    forms = [
        whole.isoformat(),
        whole.astimezone(zone).isoformat(),
        whole.replace(tzinfo=None).isoformat(),
        milliseconds,
        str(milliseconds),
        milliseconds / 1000,
        str(milliseconds / 1000),
    ]

    assert {parse_event_time(form) for form in forms} == {whole}


@pytest.mark.parametrize(
    "value",
    NO_TIMES,
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="neither ISO 8601 text nor epoch"):
        parse_event_time(value)


@pytest.mark.parametrize(
    "value",
    TIMES_OUT_OF_RANGE,
)
@pytest.mark.parametrize("parse", [parse_event_time, parse_planned_time])
def test_a_time_out_of_range_is_refused_however_large(value: object, parse: Any) -> None:
    with pytest.raises(ValueError, match=r"outside 2009|neither ISO"):
        parse(value)


def test_an_event_may_be_a_day_ahead_of_our_clock_and_no_more() -> None:
    now = datetime.now(UTC)

    assert parse_event_time(now + timedelta(hours=23)) == now + timedelta(hours=23)
    with pytest.raises(ValueError, match=r"now \+ 1 day"):
        parse_event_time(now + timedelta(hours=25))


def test_a_plan_may_be_years_ahead() -> None:
    assert parse_planned_time("2099-12-31T23:59:59Z").year == 2099
    with pytest.raises(ValueError, match="2100"):
        parse_planned_time("2100-01-01T00:00:01Z")


@pytest.mark.parametrize(
    ("value", "normalised"),
    CUSTOMER_IDS,
)
def test_a_customer_id_is_digits_or_a_business_scoped_id_verbatim(value: str, normalised: str) -> None:
    assert CUSTOMER_ID.validate_json(f'"{value}"') == normalised


@pytest.mark.parametrize(
    "value",
    NO_CUSTOMER_IDS,
)
def test_anything_else_is_no_customer_id(value: str) -> None:
    with pytest.raises(ValidationError, match="neither a phone number"):
        CUSTOMER_ID.validate_python(value)


@given(st.text(max_size=30))
def test_a_customer_id_once_normalised_stays_as_it_is(value: str) -> None:
    try:
        once = CUSTOMER_ID.validate_python(value)
    except ValidationError:
        return
    assert CUSTOMER_ID.validate_python(once) == once


def test_a_long_contact_name_is_cut_not_refused() -> None:
    assert TypeAdapter(ContactName).validate_python("ä" * 300) == "ä" * 255
