"""Which dead letters a command of `wabus dlq` works on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import click

from shared.deadletters.letters import Selection
from shared.deadletters.store import DeadLetterStore
from shared.reasons import DeadReason


@dataclass(frozen=True, slots=True)
class Choice:
    """Ids in the order of their worth, counted by reason.

    Left out: `guarded` are `send_ambiguous`, whose replay may send twice; `not_open` were asked for by id.
    """

    ids: tuple[UUID, ...]
    counts: Mapping[str, int]
    guarded: tuple[UUID, ...] = ()
    not_open: tuple[UUID, ...] = ()


def demand_restriction(
    ids: Sequence[str], filters: Mapping[str, Any], *, everything: bool, bounded: bool
) -> None:
    """A usage error unless ids, a filter or `--all` say what is meant, or it is bounded otherwise."""
    restricted = bool(ids) or not Selection(**filters).is_everything
    if not (restricted or everything or bounded):
        raise click.UsageError("name ids, give a filter, or say --all")
    if restricted and everything:
        raise click.UsageError("--all stands alone, without ids and filters")


def demand_unrouted(choice: Choice, routing_key: str | None) -> None:
    """A usage error where a routing key is given for what goes back to its queue, whatever its key."""
    if routing_key is not None and choice.counts.keys() - {DeadReason.UNROUTED.value}:
        raise click.UsageError("--routing-key is for unrouted dead letters: add --reason unrouted")


async def resolve(store: DeadLetterStore, beginning: str) -> UUID:
    """The id that begins so; an error where there is none, or more than one."""
    try:
        found = await store.find(beginning)
    except ValueError as error:
        raise click.UsageError(f"{beginning!r} is no beginning of an id") from error
    match found:
        case [only]:
            return only
        case []:
            raise click.ClickException(f"no dead letter {beginning}")
        case _:
            raise click.ClickException(
                f"more than one dead letter begins with {beginning}: give more of its id"
            )


async def choose(
    store: DeadLetterStore,
    ids: Sequence[str],
    filters: Mapping[str, Any],
    *,
    limit: int | None = None,
    guard: bool = False,
) -> Choice:
    """What is open and meant. `guard`: leave out what may be sent twice."""
    named = tuple([await resolve(store, beginning) for beginning in ids])
    rows = await store.choose(replace(Selection(**filters), ids=named), None)
    risky = {letter for letter, reason in rows if guard and reason == DeadReason.SEND_AMBIGUOUS}
    chosen = [row for row in rows if row[0] not in risky][:limit]
    open_ids = {letter for letter, _ in rows}
    return Choice(
        ids=tuple(letter for letter, _ in chosen),
        counts=dict(Counter(reason for _, reason in chosen).most_common()),
        guarded=tuple(letter for letter, _ in rows if letter in risky),
        not_open=tuple(letter for letter in dict.fromkeys(named) if letter not in open_ids),
    )
