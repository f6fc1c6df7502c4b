"""The JSON Schemas judge as the workers do: every body that the decoders' tests know gets one verdict.

What JSON Schema cannot say stands in two lists, each entry with its reason and a body that shows it. A
difference that no entry names fails, and so does an entry without a difference.
"""

import json
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.payloads import (
    BroadcastCampaign,
    CartUpdated,
    InboundMessage,
    InvalidPayload,
    OutboundMessage,
    decode,
)
from shared.payloads.schemas import PAYLOADS_IN
from tests.support.campaigns import campaign, customers
from tests.support.schema_verdicts import is_valid
from tests.support.sending import text
from tests.unit.test_payload_fields import (
    CUSTOMER_IDS,
    FORMS_OF_ONE_INSTANT,
    NO_CUSTOMER_IDS,
    NO_TIMES,
    TIMES_OUT_OF_RANGE,
)

ROOT = Path(__file__).resolve().parents[2]
#: Tests that decode bodies; what hypothesis makes up for them is the same in every run.
DECODING = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "tests/unit").glob("test_*.py")
    if "from shared.payloads" in path.read_text(encoding="utf-8")
)
INBOUND = {"wamid": "wamid.A1", "timestamp": 1714979289, "wa_id": "491700000001"}
CAMPAIGN = {"campaign_id": "spring", "phone_number_id": "1001", "message_text": "hello"}
CART = {"cart_id": "c-1", "updated_at": "2024-05-06T07:08:10Z", "currency": "EUR"}
LOCATED = {"wa_id": "491700000001", "client_message_id": "c-1"}


class Judged(NamedTuple):
    """A body that a test decoded, and what the worker's decoder said of it: None where it took it."""

    name: str
    body: bytes
    error: str | None


@dataclass(frozen=True)
class Difference:
    """One rule on which the verdicts differ, with the reason and a body that shows it."""

    reason: str
    body: bytes
    model: Any = InboundMessage
    #: How the worker says it, where it is the one that refuses.
    error: str = ""


def inbound(**changes: Any) -> bytes:
    return json.dumps(INBOUND | changes).encode()


def raw(value: str) -> bytes:
    """An inbound message with an unknown field whose value `json` would not write."""
    return inbound()[:-1] + f', "unknown": {value}}}'.encode()


#: The worker refuses, the schema does not.
UNSAID = (
    Difference(
        "it measures no bytes", inbound(message_text="a" * 2**20), error="body: larger than 1048576 b"
    ),
    Difference(
        "it measures no depth", raw('{"a":' * 300 + "1" + "}" * 300), error="not valid JSON: recursion limit"
    ),
    Difference("it knows no limit of an unknown number", raw("1e400"), error="a number that is not finite"),
    Difference(
        "many parsers mend or refuse this before a schema sees it, and it would burden each id",
        inbound(wamid="w\0"),
        error="contains a NUL character",
    ),
    Difference(
        "as before: its pattern would be refused by half of all validators",
        inbound(wamid="w\ud800"),
        error="contains half of a surrogate pair",
    ),
    Difference(
        "it has no clock",
        inbound(timestamp=(datetime.now(UTC) + timedelta(hours=25)).isoformat()),
        error=r"timestamp: outside 2009 to now \+ 1 day",
    ),
    Difference(
        "a rule over each item of a list would be refused by generators",
        json.dumps(CART | {"items": [{"product_id": "7", "quantity": 1}]}).encode(),
        model=CartUpdated,
        error="total: required where an item has no price",
    ),
    Difference(
        "it counts no digits of a number",
        json.dumps(CART | {"items": [], "total": 12.345678}).encode(),
        model=CartUpdated,
        error="an amount is text of digits",
    ),
    Difference(
        "it does not reckon",
        json.dumps(CART | {"items": [{"product_id": "7", "quantity": 9, "price": "9" * 15}]}).encode(),
        model=CartUpdated,
        error="items: they cost more",
    ),
    Difference(
        "it has no calendar", inbound(timestamp="2024-02-30T07:08:09Z"), error="timestamp: neither ISO 8601"
    ),
)
#: The schema refuses, the worker does not.
UNPROMISED = (
    Difference(
        "a number in a text can be held against no range",
        json.dumps(CAMPAIGN | {"batch_size": "50"}).encode(),
        model=BroadcastCampaign,
    ),
    Difference(
        "true and false are taken for 1 and 0, which nobody means",
        json.dumps(LOCATED | {"location": {"latitude": True, "longitude": False}}).encode(),
        model=OutboundMessage,
    ),
    Difference("weeks and days of a year are ISO 8601 that nobody writes", inbound(timestamp="2024-W19-1")),
    Difference("Python takes any sign between day and time", inbound(timestamp="2024-05-06_07:08:09")),
    Difference(
        "a pattern knows years, not the zone in which one begins",
        inbound(timestamp="2008-12-31T23:59:59-05:00"),
    ),
    Difference(
        "a pattern of the exact second at which 2009 begins would be unreadable",
        inbound(timestamp="1230768000"),
    ),
)


def refusal(model: Any, body: bytes) -> str | None:
    """The worker's verdict."""
    try:
        decode(model, body)
    except InvalidPayload as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    """What the decoders' tests decode, in a run of their own."""
    file = tmp_path_factory.mktemp("recorded") / "bodies.jsonl"
    plugin = ["-p", "no:cacheprovider", "-p", "tests.support.recorded_bodies", "--record-bodies", str(file)]
    command = [sys.executable, "-m", "pytest", *plugin, *DECODING]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return list(read_recorded(file))


def read_recorded(file: Path) -> Iterator[Judged]:
    for line in file.read_text(encoding="utf-8").splitlines():
        name, body, error = json.loads(line)
        yield Judged(name, b64decode(body), error)


def test_each_body_of_the_decoders_tests_gets_one_verdict(judged: list[Judged]) -> None:
    differing = [it for it in judged if is_valid(it.name, it.body) != (it.error is None)]

    unsaid = re.compile("|".join(rule.error for rule in UNSAID))

    assert [it for it in differing if it.error is None or not unsaid.search(it.error)] == []


@pytest.mark.parametrize("model", PAYLOADS_IN, ids=lambda model: model.__name__)
def test_the_decoders_tests_know_valid_and_invalid_bodies_of_each_payload(
    model: Any, judged: list[Judged]
) -> None:
    assert {it.error is None for it in judged if it.name == model.__name__} == {True, False}


@pytest.mark.parametrize("rule", UNSAID, ids=lambda rule: rule.reason)
def test_what_a_schema_cannot_say_is_refused_by_the_worker_alone(rule: Difference) -> None:
    assert re.search(rule.error, refusal(rule.model, rule.body) or "taken")
    assert is_valid(rule.model.__name__, rule.body)


@pytest.mark.parametrize("rule", UNPROMISED, ids=lambda rule: rule.reason)
def test_what_a_schema_does_not_promise_is_taken_by_the_worker_all_the_same(rule: Difference) -> None:
    assert refusal(rule.model, rule.body) is None
    assert not is_valid(rule.model.__name__, rule.body)


def in_json(values: list[Any]) -> list[Any]:
    return [value for value in values if not isinstance(value, bytes | datetime)]


@pytest.mark.parametrize("field", ["timestamp", "expires_at"])
def test_every_form_of_a_time_gets_one_verdict(field: str) -> None:
    cases: dict[str, tuple[dict[str, Any], Any]] = {
        "timestamp": (INBOUND, InboundMessage),
        "expires_at": (LOCATED | {"message_text": "hello"}, OutboundMessage),
    }
    least, model = cases[field]
    for value in in_json([*FORMS_OF_ONE_INSTANT, *NO_TIMES, *TIMES_OUT_OF_RANGE]):
        body = json.dumps(least | {field: value}).encode()
        assert is_valid(model.__name__, body) == (refusal(model, body) is None), value


def test_every_form_of_a_customers_id_gets_one_verdict() -> None:
    for value in [*(form for form, _ in CUSTOMER_IDS), *NO_CUSTOMER_IDS]:
        body = inbound(wa_id=value)
        assert is_valid("InboundMessage", body) == (refusal(InboundMessage, body) is None), value


def test_what_other_tests_publish_gets_one_verdict() -> None:
    assert is_valid("OutboundMessage", json.dumps(text()).encode())
    for told in (campaign(customers(3)), campaign(message_text="hello"), campaign(batch_size=1)):
        assert is_valid("BroadcastCampaign", json.dumps(told).encode())

    assert not is_valid("BroadcastCampaign", json.dumps(campaign([{"wa_id": "ana"}])).encode())
