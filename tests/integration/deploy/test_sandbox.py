"""The sandbox over real HTTP: the send call, every recipient's behaviour, settings and counts."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from deploy.sandbox import Sandbox, SandboxSettings
from tests.support.sandbox import NUMBER, SandboxCaller, wait_for_message
from tests.support.waiting import until

TO = "491700000001"


@pytest.fixture
async def caller() -> AsyncIterator[SandboxCaller]:
    async with Sandbox.running() as sandbox, SandboxCaller.connected(sandbox.url) as connected:
        yield connected


async def wait_until_idle(caller: SandboxCaller) -> None:
    async def is_idle() -> bool:
        return bool((await caller.stats())["in_flight"] == 0)

    await until(is_idle)


async def test_a_message_is_accepted_and_recorded(caller: SandboxCaller) -> None:
    answer = await caller.send("+49 170 0000001", biz_opaque_callback_data="m:1")

    assert answer.status == 200
    assert answer.body["messaging_product"] == "whatsapp"
    assert answer.body["contacts"] == [
        {"input": "+49 170 0000001", "wa_id": TO, "user_id": "DE.ejbhaaaaaaab001"}
    ]
    assert answer.wamid.startswith("wamid.")
    (message,) = await caller.messages(TO)

    assert message.pop("time").endswith("Z")
    assert message == {
        "wamid": answer.wamid,
        "to": TO,
        "wa_id": TO,
        "user_id": "DE.ejbhaaaaaaab001",
        "phone_number_id": NUMBER,
        "type": "text",
        "callback_data": "m:1",
        "answered": True,
    }


async def test_a_business_scoped_id_is_answered_with_the_id(caller: SandboxCaller) -> None:
    answer = await caller.send(None, recipient="DE.8842")

    assert answer.body["contacts"] == [{"input": "DE.8842", "user_id": "DE.8842"}]
    assert [message["to"] for message in await caller.messages("DE.8842")] == ["DE.8842"]


async def test_messages_are_listed_in_order_of_acceptance(caller: SandboxCaller) -> None:
    wamids = [(await caller.send(f"49170000000{n}")).wamid for n in (2, 1, 3)]

    assert [message["wamid"] for message in await caller.messages()] == wamids


async def test_marking_as_read_is_answered_and_not_recorded(caller: SandboxCaller) -> None:
    receipt = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A"}

    answer = await caller.post(f"/v25.0/{NUMBER}/messages", receipt)

    assert answer.body == {"success": True}
    assert await caller.messages() == []


async def test_another_token_than_the_set_one_is_refused() -> None:
    async with (
        Sandbox.running(settings=SandboxSettings(token="right")) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        answers = []
        for caller.token in ("wrong", "", "right"):
            answers.append(await caller.send(TO))

    assert [answer.status for answer in answers] == [401, 401, 200]
    assert answers[0].code == answers[1].code == 190
    assert "right" not in answers[0].text


async def test_a_token_expires_when_the_setting_changes(caller: SandboxCaller) -> None:
    assert (await caller.send(TO)).status == 200

    changed = await caller.change(token="new")

    assert "new" not in changed.text
    assert (await caller.send(TO)).code == 190
    caller.token = "new"

    assert (await caller.send(TO)).status == 200


@pytest.mark.parametrize("path", ["/v25.0/1001/media", "/1001/messages", "/v25/1001/messages"])
async def test_an_unknown_address_is_a_graph_error(caller: SandboxCaller, path: str) -> None:
    answer = await caller.post(path, {})

    assert (answer.status, answer.code) == (404, 2500)


async def test_a_refused_body_is_counted_and_not_recorded(caller: SandboxCaller) -> None:
    answer = await caller.send(TO, text={})

    assert (answer.status, answer.code) == (400, 131008)
    assert answer.body["error"]["error_data"]["details"] == "The parameter text.body is required."
    stats = await caller.stats()

    assert (stats["accepted"], stats["rejected_by_code"]) == (0, {"131008": 1})


async def test_a_body_over_the_limit_is_refused(caller: SandboxCaller) -> None:
    answer = await caller.send(TO, padding="x" * 2_000_000)

    assert (answer.status, answer.code) == (413, 100)


@pytest.mark.parametrize(
    ("digits", "status", "code"),
    [
        ("902", 500, 131000),
        ("906", 400, 131047),
        ("907", 400, 131026),
        ("908", 400, 131050),
        ("910", 401, 190),
        ("911", 404, 132001),
    ],
)
async def test_some_recipients_are_always_refused(
    caller: SandboxCaller, digits: str, status: int, code: int
) -> None:
    answers = [await caller.send(f"491700000{digits}") for _ in range(2)]

    assert [(answer.status, answer.code) for answer in answers] == [(status, code)] * 2
    assert await caller.messages() == []


@pytest.mark.parametrize(
    ("digits", "refusals", "status", "code"),
    [("901", 1, 500, 131000), ("905", 1, 429, 130429), ("909", 2, 400, 131056)],
)
async def test_some_recipients_are_refused_at_first(
    caller: SandboxCaller, digits: str, refusals: int, status: int, code: int
) -> None:
    to = f"491700000{digits}"
    refused = [await caller.send(to) for _ in range(refusals)]
    accepted = [await caller.send(to) for _ in range(2)]

    assert {(answer.status, answer.code) for answer in refused} == {(status, code)}
    assert [answer.status for answer in accepted] == [200, 200]
    assert len(await caller.messages(to)) == 2


async def test_905_says_when_to_come_back_and_901_that_it_is_transient(caller: SandboxCaller) -> None:
    assert (await caller.send("491700000905")).headers["Retry-After"] == "2"
    assert (await caller.send("491700000901")).body["error"]["is_transient"] is True


async def test_903_accepts_and_never_answers(caller: SandboxCaller) -> None:
    with pytest.raises(TimeoutError):
        await caller.send("491700000903", timeout_s=3)

    assert (await wait_for_message(caller, "491700000903"))["answered"] is False
    await wait_until_idle(caller)


async def test_904_accepts_and_closes_the_connection(caller: SandboxCaller) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.send("491700000904")

    assert (await wait_for_message(caller, "491700000904"))["answered"] is False
    await wait_until_idle(caller)


async def test_915_has_accepted_long_before_it_answers(caller: SandboxCaller) -> None:
    sending = asyncio.create_task(caller.send("491700000915"))

    message = await wait_for_message(caller, "491700000915")

    assert message["answered"] is False
    assert (await sending).wamid == message["wamid"]
    assert (await caller.messages("491700000915"))[0]["answered"] is True


async def test_a_caller_that_gives_up_leaves_an_unanswered_message(caller: SandboxCaller) -> None:
    await caller.change(latency_ms=60_000)

    with pytest.raises(TimeoutError):
        await caller.send(TO, timeout_s=3)

    assert (await wait_for_message(caller, TO))["answered"] is False
    await wait_until_idle(caller)


async def test_a_number_over_its_rate_is_refused(caller: SandboxCaller) -> None:
    await caller.change(number_mps=3)

    answers = await asyncio.gather(*(caller.send(TO) for _ in range(10)))

    refused = [answer for answer in answers if answer.status != 200]

    assert {(answer.status, answer.code) for answer in refused} == {(429, 130429)}
    assert (await caller.stats())["max_sends_per_second"] == {NUMBER: 3}
    assert (await caller.send(TO, number="1002")).status == 200


async def test_a_pair_over_its_rate_is_refused(caller: SandboxCaller) -> None:
    await caller.change(pair_rate_limit=True)

    answers = [await caller.send(TO) for _ in range(50)]

    assert [answer.status for answer in answers[:45]] == [200] * 45
    assert answers[-1].code == 131056
    assert (await caller.send("491700000002")).status == 200


async def test_a_fault_is_injected_and_taken_back(caller: SandboxCaller) -> None:
    await caller.change(fault={"code": 131016, "http_status": 503, "retry_after_s": 7})
    refused = await caller.send(TO)
    await caller.change(fault=None)

    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, 131016, "7")
    assert (await caller.send(TO)).status == 200


async def test_a_fault_after_acceptance_hides_a_message_that_goes_out(caller: SandboxCaller) -> None:
    await caller.change(fault={"code": None, "http_status": 504, "accepted": True, "times": 1})

    answer = await caller.send(TO)

    assert (answer.status, answer.body) == (504, None)
    assert [message["answered"] for message in await caller.messages(TO)] == [False]
    assert (await caller.send(TO)).status == 200


@pytest.mark.parametrize("answer", ["none", "closed", "half"])
async def test_a_fault_may_spoil_the_answer_to_an_accepted_message(
    caller: SandboxCaller, answer: str
) -> None:
    await caller.change(fault={"answer": answer})

    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await caller.send(TO, timeout_s=3 if answer == "none" else 30)

    assert [message["answered"] for message in await caller.messages(TO)] == [False]
    await caller.change(fault=None)

    assert (await caller.send(TO)).status == 200


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency": 1}, "latency"),
        ({"status_delay_ms": {"sent": "soon"}}, "status_delay_ms.sent"),
        ({"token": ""}, "token"),
    ],
)
async def test_a_bad_setting_is_named_and_changes_nothing(
    caller: SandboxCaller, settings: dict[str, object], problem: str
) -> None:
    answer = await caller.change(number_mps=1, **settings)

    assert answer.status == 400
    assert problem in answer.body["error"]
    assert (await caller.change()).body["number_mps"] is None


async def test_reset_forgets_messages_and_counts_but_not_settings(caller: SandboxCaller) -> None:
    await caller.change(latency_ms=1)
    await caller.send(TO)
    await caller.send("491700000901")

    await caller.reset()

    stats = await caller.stats()

    assert (stats["accepted"], stats["rejected"], await caller.messages()) == (0, 0, [])
    assert (await caller.change()).body["latency_ms"] == 1
    assert (await caller.send("491700000901")).status == 500


async def test_counts_are_kept_by_number(caller: SandboxCaller) -> None:
    for number in ("1", "2", "2"):
        await caller.send(TO, number=number)

    stats = await caller.stats()

    assert (stats["accepted"], stats["accepted_by_number"]) == (3, {"1": 1, "2": 2})
