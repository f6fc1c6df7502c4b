"""What customers want: words, their proofs, and refusals that outlive an erasure (rules B4, B12.3)."""

from typing import Final

from tests.mutants.mutation import Mutation

_SQL: Final = "shared/messaging/customers/consent.sql"
_CONSENT: Final = "tests/integration/messaging/customers/test_consent.py"
_WORDS: Final = "tests/integration/messaging/conversations/test_words_of_consent.py"
_GATE: Final = "tests/unit/test_sender_gate.py"
MUTATIONS: Final = (
    Mutation(
        "what was heard last counts, not what was said last",
        _SQL,
        "order by phone, kind, at desc, value, source, evidence",
        "order by phone, kind, evidence, at, value, source",
        "COMMERCE B4.1 per kind the latest counts",
        (f"{_CONSENT}::test_events_in_any_order_end_in_the_latest_of_each_kind",),
    ),
    Mutation(
        "at equal times a yes counts",
        _SQL,
        "order by phone, kind, at desc, value, source, evidence",
        "order by phone, kind, at desc, value desc, source, evidence",
        "COMMERCE B4.1 at equal times the refusal",
        (f"{_CONSENT}::test_of_two_at_equal_times_a_joined_person_has_the_refusal",),
    ),
    Mutation(
        "a yes that is dated ahead outlasts a refusal",
        _SQL,
        "select phone, kind, value, source, evidence, least(occurred_at, received_at) as at",
        "select phone, kind, value, source, evidence, occurred_at as at",
        "COMMERCE B4.1 the latest counts",
        (f"{_CONSENT}::test_a_yes_that_is_dated_ahead_does_not_outlast_a_refusal",),
    ),
    Mutation(
        "what an earlier release writes beside this one is lost",
        _SQL,
        "and case when latest.at is null then true",
        "and latest.at is null and case when latest.at is null then true",
        "COMMERCE B4.1 rows without events count",
        (f"{_CONSENT}::test_what_an_earlier_release_writes_beside_this_one_counts",),
    ),
    Mutation(
        "a customer is answered as often as they ask",
        _SQL,
        "earlier.answered_at > now() - $3::interval",
        "earlier.answered_at > now() + $3::interval",
        "COMMERCE B4.3 at most one answer an hour",
        (f"{_WORDS}::test_a_word_is_kept_marked_and_answered_once",),
    ),
    Mutation(
        "whoever was erased after a refusal is asked anew",
        "shared/messaging/customers/erasure.py",
        "await suppressions.keep(self.connection, person.addresses)",
        "await suppressions.keep(self.connection, [])",
        "COMMERCE B12.3 a refusal survives",
        (f"{_CONSENT}::test_a_refusal_outlives_an_erasure_as_a_hash_and_nothing_else_does",),
    ),
    Mutation(
        "a refusal of everything does not bind what is sent by itself",
        "workers/outbound_sender/claiming/gate.py",
        "if gate.opted_out_of_all and (request.is_notification or gate.recipient is not None):",
        "if gate.opted_out_of_all and request.is_marketing:",
        "COMMERCE B4.4 a refusal binds in the gate",
        (f"{_GATE}::test_a_refusal_of_everything_binds_what_is_sent_by_itself_and_no_reply",),
    ),
)
