"""What others tell of consent, and the events that it means."""

from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest

from shared.messaging.customers.consent_rules import ChangedConsent, ConsentEvent, events_of_change
from shared.payloads import ConsentChange, InvalidPayload, decode

AT: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
CHANGE: Final[dict[str, Any]] = {
    "wa_id": "+491700000001",
    "marketing": True,
    "source": "shop",
    "occurred_at": "2026-01-15T12:00:00Z",
}


def read(**fields: Any) -> ConsentChange:
    return decode(ConsentChange, orjson.dumps(CHANGE | fields))


def test_one_or_both_kinds_are_events_of_the_address() -> None:
    both = list(events_of_change(read(notifications=False, evidence="form 7"), "trace-1"))

    assert both == [
        ConsentEvent("491700000001", "marketing", True, "shop", AT, "form 7", "trace-1"),
        ConsentEvent("491700000001", "notifications", False, "shop", AT, "form 7", "trace-1"),
    ]
    assert [item.kind for item in events_of_change(read(), "trace-1")] == ["marketing"]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"marketing": None}, "marketing, notifications: one of them is required"),
        ({"marketing": ""}, "marketing, notifications: one of them is required"),
        ({"marketing": "yes"}, "marketing: input should be a valid boolean"),
        ({"marketing": 1}, "marketing: input should be a valid boolean"),
        ({"wa_id": "01701234567"}, "wa_id: a number that begins with 0"),
        ({"wa_id": None}, "wa_id: input should be a valid string"),
        ({"source": ""}, "source: string should have at least 1 character"),
        ({"source": "s" * 101}, "source: string should have at most 100 characters"),
        ({"occurred_at": "2126-01-15T12:00:00Z"}, "occurred_at: outside 2009 to now + 1 day"),
        ({"evidence": "e" * 256}, "evidence: string should have at most 255 characters"),
    ],
)
def test_bad_input_is_told_by_field_and_rule(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidPayload) as raised:
        read(**fields)

    assert str(raised.value).startswith(fault)


@pytest.mark.parametrize(
    ("source", "label"), [("shop", "shop"), ("message", "message"), ("web form 7", "other")]
)
def test_sources_are_counted_by_few_names(source: str, label: str) -> None:
    changed = ChangedConsent("491700000001", "marketing", True, source, AT, None)

    assert changed.counted_source == label
