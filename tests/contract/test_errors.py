"""Every error code of the Cloud API, both ways in which it is told: one table, one consequence."""

from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from shared.messaging.messages.graph_errors import CLASS_OF_CODE, CLASS_OF_SUBCODE, ErrorClass
from tests.support.rows import add_campaign, insert
from tests.support.sending import PATIENT, Sender, text
from tests.support.waiting import until

E = ErrorClass

#: Class -> what is done about it where nobody else of the campaign was accepted yet.
CONSEQUENCES: Final = {
    E.TRANSIENT: "tried again",
    E.RATE: "tried again",
    E.PAIR: "tried again",
    E.MEDIA: "tried again",
    E.PHONE_NEEDED: "tried again",
    E.SPAM: "marketing held",
    E.AUTH: "number paused",
    E.TEMPLATE: "campaign paused",
    E.PARAMETER: "in doubt",
    E.WINDOW: "failed",
    E.UNDELIVERABLE: "failed",
    E.OPTED_OUT: "failed, opted out",
    E.WITHHELD: "failed",
    E.INVALID: "failed",
    E.UNKNOWN: "failed",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An error, and the place of its own number, campaign and customer."""

    place: int
    code: int
    subcode: int | None
    error_class: ErrorClass

    @property
    def number(self) -> str:
        return f"20{self.place:03}"

    @property
    def campaign(self) -> str:
        return f"campaign-{self.place}"

    @property
    def customer(self) -> str:
        return f"4917{self.place:03}00000"

    @property
    def client_id(self) -> str:
        return f"campaign:{self.campaign}:{self.customer}"


def all_errors() -> list[Told]:
    codes: list[tuple[int, int | None, ErrorClass]] = [
        (code, None, error_class)
        for code, error_class in CLASS_OF_CODE.items()
        if code not in range(201, 299)  # a range of one class
    ]
    codes += [(code, subcode, error_class) for (code, subcode), error_class in CLASS_OF_SUBCODE.items()]
    codes.append((999_999, None, E.UNKNOWN))
    return [Told(place, *item) for place, item in enumerate(codes)]


async def launch(sender: Sender, error: Told) -> None:
    """A campaign of two, of whom one is asked for now."""
    conn = sender.cluster.conn
    await add_campaign(conn, id=error.campaign, status="running", phone_number_id=error.number)
    for customer, status in ((error.customer, "queued"), ("491799999000", "pending")):
        await insert(conn, "broadcast_recipients", campaign_id=error.campaign, wa_id=customer, status=status)
    message = text(error.client_id, error.customer, campaign_id=error.campaign)
    await sender.ask(message | {"phone_number_id": error.number}, "bulk")


async def consequence(sender: Sender, error: Told) -> str | None:
    """What has been done about it so far."""
    row = await sender.cluster.conn.fetchrow(
        """select number.state, number.marketing_held_until, campaign.status as campaign,
                  recipient.status as recipient, deferred.reason, profile.opt_in_marketing,
                  (select count(*) from send_attempts where message_id = recipient.message_id) as attempts
           from broadcast_recipients as recipient
           join broadcast_campaigns as campaign on campaign.id = recipient.campaign_id
           left join business_numbers as number on number.phone_number_id = campaign.phone_number_id
           left join deferred_messages as deferred on deferred.message_id = recipient.message_id
           left join customer_profiles as profile on profile.phone = recipient.wa_id
           where recipient.campaign_id = $1 and recipient.wa_id = $2""",
        error.campaign,
        error.customer,
    )
    assert row is not None
    found: dict[str, Any] = dict(row)
    if found["recipient"] == "failed":
        return "failed, opted out" if found["opt_in_marketing"] is False else "failed"
    if found["campaign"] == "paused":
        return "campaign paused" if found["recipient"] == "pending" else "recipient kept from its campaign"
    held = {"number_paused": "number paused", "rate_limit": "marketing held", "template_doubt": "in doubt"}
    if found["reason"] == "rate_limit" and found["marketing_held_until"] is None:
        return "tried again"
    if found["reason"] in held:
        verdict = held[found["reason"]]
        paused = found["state"] == "paused"
        marketing = found["marketing_held_until"] is not None
        told = (verdict, found["recipient"], paused, marketing)
        agrees = told in (
            ("number paused", "queued", True, False),
            ("marketing held", "queued", False, True),
            ("in doubt", "queued", False, False),
        )
        return verdict if agrees else str(told)
    return "tried again" if found["attempts"] > 1 or found["reason"] == "status_retry" else None


async def has_consequence(sender: Sender, error: Told) -> bool:
    return await consequence(sender, error) is not None


async def is_sent(sender: Sender, error: Told) -> bool:
    rows = "message_tracking where client_message_id = $1 and status = 'sent'"
    return bool(await sender.cluster.conn.fetchval(f"select exists (select from {rows})", error.client_id))


async def refuse(sender: Sender, error: Told) -> None:
    """The answer to the send says it, once."""
    fault = {"code": error.code, "error_subcode": error.subcode, "phone_number_id": error.number, "times": 1}
    await sender.sandbox.change(fault=fault)
    await launch(sender, error)


async def report(sender: Sender, error: Told) -> None:
    """The message is accepted, and a status says it later."""
    await launch(sender, error)
    await until(lambda: is_sent(sender, error))
    told = {"code": error.code, "title": "title", "error_subcode": error.subcode}
    status = {
        "wamid": (await sender.row(error.client_id))["wamid"],
        "status": "failed",
        "timestamp": "2026-01-15T10:00:00Z",
        "errors": [told],
    }
    await sender.cluster.publish("wa.status", "whatsapp", status)


@pytest.mark.parametrize("tell", [refuse, report], ids=["by its answer", "by a status"])
async def test_a_code_has_one_consequence_whichever_way_it_is_told(sender: Sender, tell: Any) -> None:
    sender.cluster.durations = replace(
        PATIENT, pair_backoff_base_s=0.01, rate_backoff_s=0.01, spam_hold_s=3600.0
    )
    errors = all_errors()
    expected = {(item.code, item.subcode): CONSEQUENCES[item.error_class] for item in errors}

    found = {}
    async with sender.cluster.running("status-updater"), sender.running():
        for error in errors:
            await tell(sender, error)
            await until(lambda error=error: has_consequence(sender, error))  # type: ignore[misc]
            found[error.code, error.subcode] = await consequence(sender, error)

    assert found == expected
