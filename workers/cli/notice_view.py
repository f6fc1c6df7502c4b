"""How automatic messages are shown: tables for people, and the words for what decided."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from shared.commerce.notices.view import ExplainedNotice, ShownNotice
from workers.cli.printing import format_time, print_facts, print_table

_COLUMNS: Final = (
    "id",
    "created_at",
    "shop_id",
    "type",
    "customer",
    "status",
    "skip_reason",
    "not_before",
    "sent_at",
    "error_code",
)
#: By the reason for which a message was skipped, or the rule that postponed it.
_WORDS: Final[Mapping[str, str]] = {
    "no_consent": "they were never asked whether they want marketing",
    "opted_out": "they refused it",
    "holdout": "they are of the control group, which gets no reminder",
    "country_blocked": "marketing is not delivered in their country",
    "quiet_hours": "it would have come in the quiet hours",
    "cap": "as many as the shop allows were sent to them already",
    "frequency_cap": "as many as the shop allows were sent to them, until it was too late for this one",
    "expired": "its time passed",
    "window_closed": "they have not written for a day, and the shop has no template for it",
    "no_message": "the shop has no message of this type in their language",
    "missing_variable": "the shop's message names something that is not known",
    "unreadable": "the message cannot be made of what is known",
    "shop_unknown": "SHOPS_FILE does not name the shop",
    "overtaken": "a later reminder was due already",
    "superseded": "what it tells was not true any more",
    "stale": "it is of an old order, as an import brings",
    "whatsapp_off": "the order says that nothing is to be told by WhatsApp",
    "no_phone": "nobody knows where to reach them",
    "cart_changed": "they went on with their cart",
    "cart_gone": "the cart is not stored any more",
    "converted": "they bought it",
    "recovered": "they bought it",
    "replied": "they answered",
    "rate": "as many of the number wait for the sender as it sends in ten seconds",
    "checkout_running": "they are just buying it",
}


def print_notices(notices: Sequence[ShownNotice]) -> None:
    """A line for each."""
    names = [name.removesuffix("_at").replace("_", " ") for name in _COLUMNS]
    print_table("", names, ([item[name] for name in _COLUMNS] for item in notices))


def print_notice(item: ShownNotice) -> None:
    """One, with its decisions."""
    facts = {
        name.replace("_", " "): value for name, value in item.items() if name not in ("variables", "trace")
    }
    facts |= {f"variable {name}": value for name, value in item["variables"].items()}
    print_facts(f"Notice {item['id']}", facts)
    if item["trace"]:
        print_table("Decisions", ("at", "decided", "why", "until"), map(_decision, item["trace"]), ("why",))


def print_explained(phone: str, explained: Sequence[ExplainedNotice]) -> None:
    """A line for each, with the reason in words."""
    if not explained:
        click.echo(f"{phone}: no automatic message in 90 days")
        return
    print_table(
        "",
        ("created", "shop", "type", "status", "why"),
        ((item.created_at, item.shop_id, item.type, item.status, _told(item)) for item in explained),
        ("why",),
    )


def _decision(item: Mapping[str, Any]) -> list[object]:
    return [item["at"], item["decided"], _words(item.get("rule")), item.get("until") or item.get("leaves_by")]


def _told(item: ExplainedNotice) -> str | None:
    if item.until is not None:
        return f"{_words(item.rule)}: decided anew at {format_time(item.until)}"
    if item.status == "pending":
        return "it is not due yet"
    return _words(item.reason)


def _words(reason: str | None) -> str | None:
    """A reason of ours in words; any other is the platform's, and stays."""
    return None if reason is None else _WORDS.get(reason, reason)
