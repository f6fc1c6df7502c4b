"""Dead letters: stored once, replayed once, and what they mean for their message (rules 7)."""

from typing import Final

from tests.mutants.mutation import Mutation

_SQL: Final = "shared/deadletters/queries.sql"
_REPLAY: Final = "tests/integration/test_dlq_replay.py"
_OUTBOUND: Final = "workers/dlq_handler/outbound.py"
_UNIT: Final = ("tests/unit/test_dlq_outbound.py",)

MUTATIONS: Final = (
    Mutation(
        "a failure is told that goes back by itself",
        _OUTBOUND,
        "return Verdict.WAIT if dead.goes_back else Verdict.FAIL",
        "return Verdict.FAIL",
        "4.4 what the cluster will try again by itself has not failed yet",
        _UNIT,
    ),
    Mutation(
        "the end of a last try is never told",
        "workers/dlq_handler/queries.sql",
        "where letter.untold and (letter.status = 'dismissed' or (not letter.automatic and",
        "where letter.untold and (letter.status = 'dismissed' or (letter.automatic is null and",
        "4.4 every accepted message ends",
        ("tests/integration/test_dlq_ends.py",),
    ),
    Mutation(
        "a dismissed message never ends",
        "workers/dlq_handler/queries.sql",
        "where letter.untold and (letter.status = 'dismissed' or",
        "where letter.untold and (false or",
        "4.4 every accepted message ends",
        ("tests/integration/test_dlq_ends.py::test_a_dismissal_tells_the_failure",),
    ),
    Mutation(
        "two operators replay the same dead letter",
        _SQL,
        " and (status = 'pending' or claimed_until < now())\n      and ($4",
        "\n      and ($4",
        "7.3 two operators at once produce one message",
        (_REPLAY,),
    ),
    Mutation(
        "an ambiguous send is replayed unasked",
        _SQL,
        "      and ($4 or reason <> 'send_ambiguous')\n",
        "      and ($4 or true)\n",
        "7.3 replaying send_ambiguous asks for --accept-duplicate",
        (f"{_REPLAY}::test_an_ambiguous_send_is_replayed_only_where_a_duplicate_is_accepted",),
    ),
    Mutation(
        "a late mark ends another's claim",
        _SQL,
        " and letter.claimed_until = claim.claimed_until\nreturning",
        "\nreturning",
        "7.3 replay is claimed, a lease",
        (f"{_REPLAY}::test_a_late_mark_does_not_touch_a_claim_of_someone_else",),
    ),
    Mutation(
        "what the database killed goes back for ever",
        _SQL,
        "coalesce(first.replay_count, letter.replay_count)",
        "letter.replay_count",
        "7.2 at most 3 times, counted on the first of them",
        (f"{_REPLAY}::test_automatic_replays_are_counted_on_the_first_of_a_chain",),
        count=2,
    ),
    Mutation(
        "what the database killed goes back at once",
        _SQL,
        "      and letter.created_at <= now() - $1::interval\n",
        "      and $1::interval is not null\n",
        "7.2 after 5 minutes",
        (f"{_REPLAY}::test_what_the_database_killed_goes_back_by_itself",),
    ),
    Mutation(
        "pending dead letters go with their time",
        _SQL,
        "    where status in ('replayed', 'dismissed')\n      and coalesce(",
        "    where status in ('replayed', 'dismissed', 'pending')\n      and coalesce(",
        "7.3 pending ones never",
        (f"{_REPLAY}::test_settled_dead_letters_go_after_their_time_and_pending_ones_never",),
    ),
    Mutation(
        "everything dead goes back by itself",
        "shared/deadletters/queries.sql",
        "letter.automatic and letter.reason in ('lock_timeout', 'database_error')\n      and letter.created",
        "letter.automatic\n      and letter.created",
        "7.2 all else waits for a person",
        (f"{_REPLAY}::test_what_the_database_killed_goes_back_by_itself",),
    ),
    Mutation(
        "a replay does not name its dead letter",
        "shared/deadletters/replay.py",
        'back = {REPLAY_OF: str(row["id"])}',
        "back: dict[str, str] = {}",
        "7.3 published with x-replay-of",
        (f"{_REPLAY}::test_a_replay_is_the_original_message_again",),
    ),
    Mutation(
        "what could not be published counts as replayed",
        "shared/deadletters/replay.py",
        '        await self._unclaim([row for row in rows if row["id"] in errors])\n',
        "        errors = {}\n",
        "7.3 claimed, published, then marked",
        (f"{_REPLAY}::test_what_cannot_be_published_is_pending_again",),
    ),
    Mutation(
        "a dead letter is stored twice",
        "shared/postgres/deadletters.sql",
        "select row.id, row.dedupe_key, row.source_queue",
        "select row.id, null, row.source_queue",
        "7.1 every one is stored, once",
        ("tests/integration/test_dlq_handler.py::test_a_death_published_twice_under_one_key_is_stored_once",),
    ),
    Mutation(
        "a copy that contradicts fails the message",
        _OUTBOUND,
        "if letter.reason in _OF_COPIES or not _is_same(dead, message):",
        "if not _is_same(dead, message):",
        "4.4 a message fails only when no attempt can still succeed",
        _UNIT,
    ),
    Mutation(
        "a dead letter of another message with its id fails it",
        _OUTBOUND,
        "message.content_hash in (None, dead.content_hash)",
        "message.content_hash != b''",
        "4.4 a message fails only when no attempt can still succeed",
        _UNIT,
    ),
    Mutation(
        "each delivery of a failed message is a dead letter",
        "workers/dlq_handler/letters.py",
        "        or _failure_key(delivery, death, message_id)\n",
        "",
        "7.1 one dead letter of one failure",
        ("tests/unit/test_dlq_letters.py",),
    ),
    Mutation(
        "an undecided message fails",
        _OUTBOUND,
        "    if message.undecided:\n        return Verdict.RECONCILE\n",
        "",
        "4.4 fails only when no attempt of it can still succeed",
        _UNIT,
    ),
    Mutation(
        "a message that never became a row is not told",
        _OUTBOUND,
        "return Verdict.WAIT if dead.goes_back else Verdict.TELL",
        "return Verdict.LEAVE",
        "4.4 every accepted message ends in sent or failed, wherever it dies",
        _UNIT,
    ),
)
