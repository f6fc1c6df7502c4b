"""`wabus number list|pause|resume`: which business numbers may send.

Owns the operator's side of `business_numbers`; the sender pauses numbers too, and reads the state before
each send.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

import click

from shared.masking import escape_controls
from shared.postgres.audit import record_audit
from shared.postgres.database import Database
from shared.postgres.queries import Queries
from shared.settings.settings import Settings
from workers.cli.operation import by_option, json_option, read_settings, run_on_database
from workers.cli.printing import print_json, print_table

_QUERIES: Final = Queries("workers.cli", "number.sql")


@dataclass(frozen=True, slots=True)
class Number:
    """A business number as operators see it; `waiting` counts messages deferred because it is paused."""

    phone_number_id: str
    state: str
    since: datetime | None
    reason: str | None
    changed_by: str | None
    slowed_until: datetime | None
    marketing_held_until: datetime | None
    breaker: str
    waiting: int
    mps: float
    has_token: bool


@dataclass(frozen=True, slots=True)
class NumberChange:
    """What a command did to one number; `released`: messages that need not wait any longer."""

    phone_number_id: str
    state: str
    changed: bool
    released: int


@click.group(epilog="\b\nExample:\n  wabus number pause 106540352242922 --reason 'new token on its way'")
def number() -> None:
    """List business numbers; pause or resume their sending.

    The sender pauses a number by itself where the platform refuses its token or its account.
    """


@number.command("list", epilog="\b\nExample:\n  wabus number list --json")
@json_option
def list_(as_json: bool) -> None:
    """List the numbers that are known: from settings, from earlier pauses, from conversations."""
    settings = read_settings()
    numbers = run_on_database(settings, lambda database: _read(database, settings))
    if as_json:
        print_json({"numbers": [asdict(item) for item in numbers]})
    else:
        _print_numbers(numbers)


_numbers = click.argument("numbers", metavar="[NUMBER]...", nargs=-1)
_all = click.option("--all", "everything", is_flag=True, help="Every number that `wabus number list` shows.")
_reason = click.option("--reason", metavar="TEXT", help="Why, for people (audited).")


@number.command(epilog="\b\nExample:\n  wabus number pause --all --reason 'billing is being mended' --by ana")
@_numbers
@_all
@_reason
@by_option
@json_option
def pause(numbers: tuple[str, ...], everything: bool, reason: str | None, by: str, as_json: bool) -> None:
    """Stop sending from numbers; their messages wait until `wabus number resume`."""
    _change("paused", numbers, everything, reason or "paused by hand", by, as_json)


@number.command(epilog="\b\nExample:\n  wabus number resume 106540352242922")
@_numbers
@_all
@_reason
@by_option
@json_option
def resume(numbers: tuple[str, ...], everything: bool, reason: str | None, by: str, as_json: bool) -> None:
    """Send from numbers again; what waited for them goes at once, oldest first."""
    _change("active", numbers, everything, reason, by, as_json)


def _change(
    state: Literal["paused", "active"],
    numbers: Sequence[str],
    everything: bool,
    reason: str | None,
    by: str,
    as_json: bool,
) -> None:
    if everything == bool(numbers):
        raise click.UsageError("Name at least one NUMBER, or give --all.")
    settings = read_settings()

    async def work(database: Database) -> list[NumberChange]:
        known = {item.phone_number_id: item.state for item in await _read(database, settings)}
        if unknown := sorted(set(numbers) - set(known)):
            told = "not seen before: no setting, conversation or earlier pause names it"
            click.echo(f"{escape_controls(', '.join(unknown))}: {told}", err=True)
        others = [name for name, before in known.items() if before != state]
        return await _set_state(database, others if everything else sorted(set(numbers)), state, reason, by)

    changes = run_on_database(settings, work)
    if as_json:
        print_json({"numbers": [asdict(change) for change in changes]})
    else:
        for change in changes:
            click.echo(_tell(change))
        if not changes:
            click.echo(f"Every number is {state} already.")


async def _set_state(
    database: Database, numbers: Sequence[str], state: str, reason: str | None, by: str
) -> list[NumberChange]:
    async with database.transaction() as connection:
        rows = await connection.fetch(_QUERIES["set_state"], numbers, state, reason, by)
        released: dict[str, int] = {}
        if state == "active":
            rows_released = await connection.fetch(_QUERIES["count_waiting"], numbers)
            released = {row["phone_number_id"]: row["messages"] for row in rows_released}
        changes = [
            NumberChange(
                row["phone_number_id"], state, row["changed"], released.get(row["phone_number_id"], 0)
            )
            for row in rows
        ]
        for change in changes:
            details: dict[str, Any] = {"reason": reason, "changed": change.changed}
            await record_audit(
                connection,
                actor=by,
                action="number.pause" if state == "paused" else "number.resume",
                subject=change.phone_number_id,
                details=details | {"released": change.released},
            )
    return changes


async def _read(database: Database, settings: Settings) -> list[Number]:
    named = sorted({settings.whatsapp_phone_number_id, *settings.whatsapp_numbers})
    numbers = []
    for row in await database.fetch(_QUERIES["list"], named):
        own = settings.number(row["phone_number_id"])
        numbers.append(Number(**dict(row), mps=own.mps, has_token=own.token is not None))
    return numbers


def _tell(change: NumberChange) -> str:
    already = "" if change.changed else " already"
    waited = f", {change.released} waiting messages may go" if change.released else ""
    return f"{escape_controls(change.phone_number_id)}: {change.state}{already}{waited}"


def _print_numbers(numbers: Sequence[Number]) -> None:
    times = {"slowed until": "slowed_until", "marketing held until": "marketing_held_until"}
    held = {title: name for title, name in times.items() if any(getattr(item, name) for item in numbers)}
    columns = ("number", "state", "since", "reason", "by", *held, "breaker", "waiting", "msg/s", "token")
    print_table(
        "",
        columns,
        (
            (
                item.phone_number_id,
                item.state,
                item.since,
                item.reason,
                item.changed_by,
                *(getattr(item, name) for name in held.values()),
                item.breaker,
                item.waiting,
                f"{item.mps:g}",
                item.has_token,
            )
            for item in numbers
        ),
        prose=("reason",),
    )
