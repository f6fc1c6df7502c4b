"""How campaigns are shown: tables for people, JSON for programs, and the words for what holds one.

Owns the form of `wabus campaign status`. Reading and judging is `shared.messaging.campaigns.status`'.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from shared.masking import escape_controls
from shared.messaging.campaigns.holds import CampaignHold, HoldKind
from shared.messaging.campaigns.status import STATUSES, CampaignStatus
from workers.cli.printing import format_time, print_facts, print_json, print_table


def print_for_programs(statuses: Sequence[CampaignStatus]) -> None:
    """One JSON object; what holds a campaign is told in words, as people read them."""
    print_json({"campaigns": [describe_campaign(item) for item in statuses]})


def describe_campaign(item: CampaignStatus) -> dict[str, Any]:
    """A campaign for programs."""
    return asdict(item) | {"holds": describe_holds(item)}


def print_statuses(statuses: Sequence[CampaignStatus]) -> None:
    """A line for each campaign."""
    columns = ("campaign", "name", "status", "number", *STATUSES, "rate/s", "left")
    print_table(
        "",
        columns,
        ([item.id, item.name, item.status, item.phone_number_id, *_figures(item)] for item in statuses),
    )


def print_status(item: CampaignStatus) -> None:
    """One campaign, with the reasons."""
    facts = asdict(item)
    delay_s = facts.pop("batch_delay_ms") / 1000
    shown: dict[str, Any] = {
        name.removesuffix("_id").replace("_", " "): facts[name]
        for name in (
            "name",
            "status",
            "status_reason",
            "phone_number_id",
            "category",
            "on_ambiguous",
            "created_at",
        )
    }
    shown["batches"] = f"{item.batch_size} recipients, {delay_s:g} s apart"
    for name in ("scheduled_at", "started_at", "next_batch_at", "finished_at"):
        shown[name.removesuffix("_at").replace("_", " ")] = facts[name]
    print_facts(f"campaign {item.id}", shown)
    print_table("", (*STATUSES, "rate/s", "left"), [_figures(item)])
    for hold in describe_holds(item):
        click.echo(f"  {escape_controls(hold)}")
    if item.reasons:
        print_table("", ("not reached because of", "recipients"), item.reasons.items())


def describe_s(seconds: float | None) -> str:
    """A stretch of time for people: 45 s, 12 min, 3.5 h."""
    match seconds:
        case None:
            return ""
        case _ if seconds < 90:
            return f"{seconds:.0f} s"
        case _ if seconds < 5400:
            return f"{seconds / 60:.0f} min"
        case _:
            return f"{seconds / 3600:.1f} h"


def describe_holds(item: CampaignStatus) -> list[str]:
    """A line for each thing that holds the campaign."""
    return [_describe_hold(hold, item.recipients["queued"]) for hold in item.holds]


def _describe_hold(hold: CampaignHold, queued: int) -> str:
    at = "" if hold.at is None else format_time(hold.at)
    match hold.kind:
        case HoldKind.NOT_TAKEN_UP:
            return "the launch is not taken up: is a broadcast-batcher running?"
        case HoldKind.PAUSED:
            return f"the campaign is paused: {hold.reason or 'by an operator'}"
        case HoldKind.NOT_DUE:
            return f"scheduled at {at}"
        case HoldKind.NUMBER_PAUSED:
            return f"number {hold.number} is paused since {at}: {hold.reason or 'no reason given'}"
        case HoldKind.BREAKER_OPEN:
            return f"the breaker of number {hold.number} is open since {at}"
        case HoldKind.NO_SCHEDULER:
            return "no scheduler acts: no batch is begun and nothing that was deferred goes on"
        case HoldKind.NOTHING_SENT:
            return f"{queued} are queued and none was sent in the last minute: is an outbound-sender running?"
        case HoldKind.NUMBER_RATE:
            return "no faster than its number's rate: the next batch waits for what is queued"


def _figures(item: CampaignStatus) -> list[object]:
    return [*(item.recipients[status] for status in STATUSES), f"{item.rate:g}", describe_s(item.eta_s)]
