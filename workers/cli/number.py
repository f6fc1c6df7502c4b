"""`wabus number list|pause|resume`: which business numbers may send.

Owns the options and the table; what is done is `shared.messaging.numbers.control`'s. A number's rate and
token are what this machine's settings say.
"""

from collections.abc import Sequence
from dataclasses import asdict

import click

from shared.masking import escape_controls
from shared.messaging.numbers.control import Number, NumberChange, NumberState, change_numbers, read_numbers
from shared.settings.settings import Settings
from workers.cli.operation import by_option, json_option, read_settings, run_on_database
from workers.cli.printing import print_json, print_table


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
    numbers = run_on_database(settings, lambda database: read_numbers(database, _named(settings)))
    if as_json:
        print_json({"numbers": [asdict(item) | _own(settings, item) for item in numbers]})
    else:
        _print_numbers(settings, numbers)


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
    state: NumberState,
    numbers: Sequence[str],
    everything: bool,
    reason: str | None,
    by: str,
    as_json: bool,
) -> None:
    if everything == bool(numbers):
        raise click.UsageError("Name at least one NUMBER, or give --all.")
    settings = read_settings()
    done = run_on_database(
        settings,
        lambda database: change_numbers(
            database,
            None if everything else numbers,
            state,
            named=_named(settings),
            reason=reason,
            by=by,
        ),
    )
    if done.unseen:
        told = "not seen before: no setting, conversation or earlier pause names it"
        click.echo(f"{escape_controls(', '.join(done.unseen))}: {told}", err=True)
    if as_json:
        print_json({"numbers": [asdict(change) for change in done.changes]})
    else:
        for change in done.changes:
            click.echo(_tell(change))
        if not done.changes:
            click.echo(f"Every number is {state} already.")


def _named(settings: Settings) -> set[str]:
    return {settings.whatsapp_phone_number_id, *settings.whatsapp_numbers}


def _own(settings: Settings, item: Number) -> dict[str, object]:
    own = settings.number(item.phone_number_id)
    return {"mps": own.mps, "has_token": own.token is not None}


def _tell(change: NumberChange) -> str:
    already = "" if change.changed else " already"
    waited = f", {change.released} waiting messages may go" if change.released else ""
    return f"{escape_controls(change.phone_number_id)}: {change.state}{already}{waited}"


def _print_numbers(settings: Settings, numbers: Sequence[Number]) -> None:
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
                f"{settings.number(item.phone_number_id).mps:g}",
                settings.number(item.phone_number_id).token is not None,
            )
            for item in numbers
        ),
        prose=("reason",),
    )
