"""`deploy/connect.md` says what is so: exchanges, keys, schemas, events, fields and the sandbox's digits."""

import json
from typing import Any

import pytest

from deploy.examples.meta_webhook import translate
from deploy.sandbox.recipients import NORMAL, behaviour_of
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import EVENTS, INGRESS, is_bound
from shared.payloads import InboundMessage, OutboundMessage, StatusUpdate, decode
from shared.payloads.schemas import EVENTS_OUT, FOLDER, PAYLOADS_IN
from tests.support.connect_page import PAGE, codes, lines, published, table

ROOT = PAGE.parents[1]
HEARD = {codes(event)[0]: codes(schema)[0] for event, schema, _ in table("event", "schema", "it says")}


def test_the_page_is_short() -> None:
    assert len(lines()) < 200


def test_every_exchange_and_payload_that_others_publish_is_on_the_page() -> None:
    assert {row.exchange for row in published()} == set(INGRESS)
    assert {row.schema for row in published()} == {model.__name__ for model in PAYLOADS_IN}


@pytest.mark.parametrize("row", published(), ids=lambda row: f"{row.exchange} {row.routing_key}")
def test_what_is_published_so_reaches_a_worker_that_expects_this_payload(row: Any) -> None:
    assert is_bound(row.exchange, row.routing_key)
    assert payload_name(row.exchange, row.routing_key) == row.schema
    assert (FOLDER / f"{row.schema}.json").exists()
    assert set(row.events) <= HEARD.keys()


def test_every_event_is_on_the_page_with_its_schema() -> None:
    assert {event: payload_name(EVENTS, event) for event in HEARD} == HEARD
    assert set(HEARD) == {model.EVENT_TYPE for model in EVENTS_OUT} | {"outbound.failed"}


@pytest.mark.parametrize(
    ("platform", "model"),
    [("Meta", InboundMessage), ("Meta", StatusUpdate), ("Genesys", OutboundMessage)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_fields_of_a_platform_go_to_fields_that_the_payload_has(platform: str, model: Any) -> None:
    fields = {codes(field)[0] for _, field, _ in table(platform, f"`{model.__name__}`", "note")}

    assert fields <= model.model_fields.keys()
    assert set(model.model_json_schema().get("required", ())) <= fields


def test_the_digits_of_the_sandbox_are_those_that_it_knows() -> None:
    told = {digits for cell, _ in table("digits", "what happens") for digits in codes(cell)} - {"000", "899"}

    assert told == {str(digits) for digits in range(900, 1000) if behaviour_of(str(digits)) is not NORMAL}


def test_every_example_is_on_the_page() -> None:
    page = "\n".join(lines())

    for path in (ROOT / "deploy/examples").glob("*.*"):
        assert path.name in page


WEBHOOK: dict[str, Any] = {
    "object": "whatsapp_business_account",
    "entry": [
        {
            "id": "waba",
            "changes": [
                {"field": "account_update", "value": {"event": "VERIFIED"}},
                {
                    "field": "messages",
                    "value": {
                        "metadata": {"display_phone_number": "15550001111", "phone_number_id": "1001"},
                        "contacts": [
                            {"profile": {"name": "Ben"}, "user_id": "DE.77"},
                            {"profile": {"name": "Ana"}, "wa_id": "491700000001"},
                        ],
                        "messages": [
                            {
                                "from": "491700000001",
                                "from_user_id": "DE.8842",
                                "id": "wamid.A1",
                                "timestamp": "1786000000",
                                "type": "text",
                                "text": {"body": "hello"},
                                "context": {"id": "wamid.Z"},
                            },
                            {
                                "from_user_id": "DE.77",
                                "id": "wamid.A2",
                                "timestamp": "1786000001",
                                "type": "image",
                                "image": {"id": "9", "mime_type": "image/jpeg", "caption": "broken"},
                            },
                            {"id": "wamid.A3", "timestamp": "1786000002", "type": "system"},
                        ],
                        "statuses": [
                            {
                                "id": "wamid.B2",
                                "status": "failed",
                                "timestamp": "1786000003",
                                "recipient_user_id": "DE.8842",
                                "biz_opaque_callback_data": "m:1",
                                "errors": [{"code": 131047, "error_data": {"details": "24 h"}}],
                            }
                        ],
                    },
                },
            ],
        }
    ],
}


def test_a_webhook_of_meta_becomes_payloads_that_workers_take() -> None:
    text, image, status = translate(WEBHOOK)

    first = decode(InboundMessage, json.dumps(text.body).encode())
    assert (text.exchange, text.routing_key) == ("wa.inbound", "491700000001")
    assert (first.wamid, first.wa_id, first.user_id) == ("wamid.A1", "491700000001", "DE.8842")
    assert (first.message_text, first.contact_name, first.context_wamid) == ("hello", "Ana", "wamid.Z")
    assert (first.phone_number_id, first.display_phone_number) == ("1001", "15550001111")
    second = decode(InboundMessage, json.dumps(image.body).encode())
    assert (second.wa_id, second.contact_name, second.message_text) == ("DE.77", "Ben", "broken")
    assert (second.message_type, (second.content or {})["image"]["id"]) == ("image", "9")
    update = decode(StatusUpdate, json.dumps(status.body).encode())

    assert (status.exchange, status.routing_key) == ("wa.status", "whatsapp")
    assert (update.wamid, update.recipient_user_id, update.callback_data) == ("wamid.B2", "DE.8842", "m:1")
    assert [error.code for error in update.errors or ()] == [131047]
