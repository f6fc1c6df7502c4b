"""Which dead letters are replayed or dismissed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from shared.deadletters.letters import Selection
from shared.deadletters.reading import resolve
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

    @property
    def is_unrouted(self) -> bool:
        """Whether all of it is unrouted: only that can go under another routing key."""
        return not self.counts.keys() - {DeadReason.UNROUTED.value}


async def choose(
    store: DeadLetterStore,
    ids: Sequence[str],
    selection: Selection,
    *,
    limit: int | None = None,
    guard: bool = False,
) -> Choice:
    """What is open and meant, by beginnings of ids and by a selection without any.

    `guard`: leave out what may be sent twice. Raises as `resolve` does.
    """
    named = tuple([await resolve(store, beginning) for beginning in ids])
    rows = await store.choose(replace(selection, ids=named), None)
    risky = {letter for letter, reason in rows if guard and reason == DeadReason.SEND_AMBIGUOUS}
    chosen = [row for row in rows if row[0] not in risky][:limit]
    open_ids = {letter for letter, _ in rows}
    return Choice(
        ids=tuple(letter for letter, _ in chosen),
        counts=dict(Counter(reason for _, reason in chosen).most_common()),
        guarded=tuple(letter for letter, _ in rows if letter in risky),
        not_open=tuple(letter for letter in dict.fromkeys(named) if letter not in open_ids),
    )
