"""The sandbox names customers as WhatsApp does, in answers, statuses and changes: one notation, one id."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from deploy.sandbox import Sandbox, SandboxSettings, StatusDelays
from deploy.sandbox.customers import user_id_of
from deploy.sandbox.webhook_statuses import WebhookStatuses
from tests.support.sandbox import NUMBER, SandboxCaller, WebhookReceiver

FORTALEZA, DIALLED = "558587654321", "5585987654321"
MARIA = user_id_of(FORTALEZA)
ANA, ANA_NEXT = "491700000001", "491700000002"
ONE_STATUS = SandboxSettings(status_delay_ms=StatusDelays(sent=1, delivered=None, read=None))


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver.running() as running:
        yield running


@pytest.fixture
async def caller(receiver: WebhookReceiver) -> AsyncIterator[SandboxCaller]:
    async with (
        Sandbox.running(settings=ONE_STATUS, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as connected,
    ):
        yield connected


async def test_an_answer_and_its_statuses_name_the_phone_in_whatsapps_notation_and_the_id(
    caller: SandboxCaller, receiver: WebhookReceiver
) -> None:
    answer = await caller.send(f"+{DIALLED}")
    (status,) = await receiver.wait_for(bool)

    assert answer.body["contacts"] == [{"input": f"+{DIALLED}", "wa_id": FORTALEZA, "user_id": MARIA}]
    assert (status["recipient_id"], status["recipient_user_id"]) == (FORTALEZA, MARIA)


async def test_a_message_to_an_id_of_the_sandbox_names_the_phone_too(
    caller: SandboxCaller, receiver: WebhookReceiver
) -> None:
    answer = await caller.send(None, recipient=MARIA)
    (status,) = await receiver.wait_for(bool)

    assert answer.body["contacts"] == [{"input": MARIA, "wa_id": FORTALEZA, "user_id": MARIA}]
    assert (status["recipient_id"], status["recipient_user_id"]) == (FORTALEZA, MARIA)


@pytest.mark.parametrize("dialled", [{"to": DIALLED}, {"to": None, "recipient": MARIA}])
async def test_hidden_phones_are_named_nowhere(
    caller: SandboxCaller, receiver: WebhookReceiver, dialled: dict[str, Any]
) -> None:
    await caller.change(hide_phones=True)

    answer = await caller.send(**dialled)
    (status,) = await receiver.wait_for(bool)

    assert [contact.keys() for contact in answer.body["contacts"]] == [{"input", "user_id"}]
    assert (status.get("recipient_id"), status["recipient_user_id"]) == (None, MARIA)
    assert FORTALEZA not in str(status)


async def test_a_message_is_found_by_every_address_of_its_recipient(caller: SandboxCaller) -> None:
    wamid = (await caller.send(DIALLED)).wamid
    await caller.send(ANA)

    for address in (DIALLED, FORTALEZA, f"+{FORTALEZA}", MARIA):
        assert [message["wamid"] for message in await caller.messages(address)] == [wamid]


async def test_the_last_digits_of_what_was_dialled_choose_the_behaviour_of_an_id_as_of_a_phone(
    caller: SandboxCaller,
) -> None:
    refused = await caller.send(None, recipient=user_id_of("5585987654907"))

    assert refused.code == 131026


async def test_a_customer_is_refused_at_first_once_whatever_was_dialled(caller: SandboxCaller) -> None:
    answers = [await caller.send(to) for to in ("5585987654901", "558587654901")]

    assert [answer.status for answer in answers] == [500, 200]


async def test_the_pair_rate_is_one_customer_s(caller: SandboxCaller) -> None:
    await caller.change(pair_rate_limit=True)

    answers = [await caller.send((DIALLED, FORTALEZA)[n % 2]) for n in range(46)]

    assert [answer.status for answer in answers] == [200] * 45 + [400]


async def test_a_changed_number_is_told_as_a_system_message(
    caller: SandboxCaller, receiver: WebhookReceiver
) -> None:
    answer = await caller.change_customer(from_=ANA, to=ANA_NEXT, phone_number_id=NUMBER)

    (message,) = receiver.messages
    assert answer.body == {"message": message}
    assert message["id"].startswith("wamid.")
    assert message["timestamp"].isdigit()
    assert (message["type"], message["from"], message["from_user_id"]) == ("system", ANA, user_id_of(ANA))
    next_id = (await caller.send(ANA_NEXT)).body["contacts"][0]["user_id"]
    assert message["system"] == {
        "type": "user_changed_number",
        "body": f"User changed from {ANA} to {ANA_NEXT}",
        "wa_id": ANA_NEXT,
        "user_id": next_id,
    }
    somebody_new = (await caller.send(ANA)).body["contacts"][0]["user_id"]

    assert len({somebody_new, next_id, user_id_of(ANA)}) == 3
    change = receiver.bodies[0]["entry"][0]["changes"][0]

    assert change["value"]["metadata"]["phone_number_id"] == NUMBER


async def test_a_changed_id_is_told_as_a_system_message(
    caller: SandboxCaller, receiver: WebhookReceiver
) -> None:
    await caller.change_customer(from_user_id=MARIA, to_user_id="BR.new1")

    (message,) = receiver.messages
    assert (message["from"], message["from_user_id"]) == (FORTALEZA, MARIA)
    assert message["system"] == {
        "type": "user_changed_user_id",
        "body": f"User changed from {MARIA} to BR.new1",
        "wa_id": FORTALEZA,
        "user_id": "BR.new1",
    }
    assert (await caller.send(DIALLED)).body["contacts"][0]["user_id"] == "BR.new1"


async def test_a_change_of_a_hidden_number_is_one_of_the_id(
    caller: SandboxCaller, receiver: WebhookReceiver
) -> None:
    await caller.change(hide_phones=True)
    await caller.change_customer(from_=ANA, to=ANA_NEXT)

    (message,) = receiver.messages
    assert message["system"]["type"] == "user_changed_user_id"
    assert (message.get("from"), message["from_user_id"]) == (None, user_id_of(ANA))
    assert ANA not in str(message)
    assert ANA_NEXT not in str(message)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"from_": ANA}, "to: Field required"),
        ({"from_": ANA, "to": "0170"}, "to: String should match"),
        ({"from_user_id": "ana", "to_user_id": "DE.1"}, "from_user_id: String should match"),
        ({"from_user_id": "DE.1", "to": ANA}, "to_user_id: Field required"),
        ({"from_": ANA, "to": ANA_NEXT, "until": 1}, "until: Extra inputs"),
    ],
)
async def test_a_change_that_cannot_be_is_named_and_does_not_happen(
    caller: SandboxCaller, receiver: WebhookReceiver, asked: dict[str, str], problem: str
) -> None:
    answer = await caller.change_customer(**asked)

    assert answer.status == 400
    assert problem in answer.body["error"]
    assert receiver.bodies == []


@pytest.mark.parametrize("body", [[], "from", 1])
async def test_a_change_is_asked_for_by_an_object(caller: SandboxCaller, body: object) -> None:
    answer = await caller.post("/_sandbox/customers/change", body)

    assert (answer.status, answer.body) == (400, {"error": "the body is not a JSON object"})


async def test_reset_forgets_what_customers_changed(caller: SandboxCaller) -> None:
    await caller.change_customer(from_=ANA, to=ANA_NEXT)
    await caller.reset()

    assert (await caller.send(ANA)).body["contacts"][0]["user_id"] == user_id_of(ANA)
