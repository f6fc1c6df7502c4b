"""What a customer answered a shop, as Shopify tells it, to consent."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from shared.payloads import ConsentChange, decode
from tests.support.shop_bodies import AT, told

SHOPIFY_CUSTOMER = {
    "id": 7,
    "updated_at": AT,
    "phone": "0176 12345678",
    "default_address": {"id": 1, "country_code": "DE"},
    "accepts_marketing": True,
}
ANSWERED_AT = "2024-05-01T08:00:00-04:00"


@pytest.mark.parametrize(("state", "wanted"), [("subscribed", True), ("unsubscribed", False)])
def test_what_a_customer_answered_shopify_of_their_phone_is_consent_of_that_time(
    state: str, wanted: bool
) -> None:
    said = {"sms_marketing_consent": {"state": state, "consent_updated_at": ANSWERED_AT}}

    customer, consent = told("shopify", "customers/update", SHOPIFY_CUSTOMER | said)

    assert "accepts_marketing" not in customer.fields
    change = decode(ConsentChange, orjson.dumps(consent.fields))
    assert consent.routing_key == "consent"
    assert change.model_dump() == {
        "wa_id": "4917612345678",
        "marketing": wanted,
        "notifications": None,
        "source": "shop",
        "occurred_at": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "evidence": "default: sms_marketing_consent",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sms_marketing_consent": None},
        {"sms_marketing_consent": {"state": "not_subscribed", "consent_updated_at": ANSWERED_AT}},
        {"sms_marketing_consent": {"state": "subscribed", "consent_updated_at": None}},
        {
            "sms_marketing_consent": {"state": "subscribed", "consent_updated_at": ANSWERED_AT},
            "phone": "1",
        },
    ],
)
def test_a_newsletter_or_an_answer_without_time_or_phone_is_no_consent(changes: dict[str, Any]) -> None:
    facts = told("shopify", "customers/update", SHOPIFY_CUSTOMER | changes)

    assert [fact.routing_key for fact in facts] == ["customer.updated"]
