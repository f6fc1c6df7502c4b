"""Options of `wabus dlq`: which dead letters are meant, and under which routing key they go."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from shared.deadletters.choice import Choice
from shared.deadletters.letters import Selection
from shared.reasons import DeadReason
from workers.cli.ages import read_age

Command = Callable[..., Any]

_FILTERS: Final = (
    click.option(
        "--reason",
        "reasons",
        multiple=True,
        type=click.Choice([reason.value for reason in DeadReason]),
        metavar="REASON",
        help="Only this reason; may be repeated.",
    ),
    click.option(
        "--queue",
        "queues",
        multiple=True,
        metavar="QUEUE",
        help="Only what died in this queue (unrouted: the exchange); may be repeated.",
    ),
    click.option(
        "--older-than",
        "--age",
        "older_than_s",
        callback=read_age,
        metavar="AGE",
        help="Stored longer ago: 15m, 2h, 3d.",
    ),
    click.option(
        "--newer-than",
        "newer_than_s",
        callback=read_age,
        metavar="AGE",
        help="Stored since then: 15m, 2h, 3d.",
    ),
)
all_option: Final = click.option(
    "--all", "everything", is_flag=True, help="Everything open; no ids, no filters."
)
routing_key_option: Final = click.option(
    "--routing-key", metavar="KEY", help="For unrouted ones: publish under this key, not their own."
)
accept_duplicate_option: Final = click.option(
    "--accept-duplicate", is_flag=True, help="send_ambiguous too: the customer may get it twice."
)


def filter_options(command: Command) -> Command:
    """`--reason`, `--queue`, `--older-than`, `--newer-than`: the fields of a Selection, by their names."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def demand_restriction(ids: Sequence[str], selection: Selection, *, everything: bool, bounded: bool) -> None:
    """A usage error unless ids, a filter or `--all` say what is meant, or it is bounded otherwise."""
    restricted = bool(ids) or not selection.is_everything
    if not (restricted or everything or bounded):
        raise click.UsageError("name ids, give a filter, or say --all")
    if restricted and everything:
        raise click.UsageError("--all stands alone, without ids and filters")


def demand_unrouted(choice: Choice, routing_key: str | None) -> None:
    """A usage error where a routing key is given for what goes back to its queue, whatever its key."""
    if routing_key is not None and not choice.is_unrouted:
        raise click.UsageError("--routing-key is for unrouted dead letters: add --reason unrouted")
