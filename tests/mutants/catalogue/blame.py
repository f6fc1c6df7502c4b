"""Whose fault a failure is, and what follows of it (rule 4.5)."""

from typing import Final

from tests.mutants.mutation import Mutation

_SCOPES: Final = "shared/messaging/messages/scopes.py"
_SCOPES_TESTS: Final = ("tests/unit/test_tracking_scopes.py",)
_ERRORS: Final = "tests/integration/messaging/messages/test_error_scopes.py"

MUTATIONS: Final = (
    Mutation(
        "a message that pauses its number again pauses it for ever",
        _SCOPES,
        "case ErrorClass.AUTH if not evidence.pauses_again:",
        "case ErrorClass.AUTH:",
        "4.5 a message that pauses its number again fails by itself",
        _SCOPES_TESTS,
    ),
    Mutation(
        "a template that fits is in doubt",
        _SCOPES,
        "evidence.in_campaign and not evidence.template_fits:",
        "evidence.in_campaign:",
        "4.5 it fails its recipient alone once anybody has been accepted",
        _SCOPES_TESTS,
    ),
    Mutation(
        "spam is tried for ever",
        _SCOPES,
        "case ErrorClass.SPAM if attempt <= _SPAM_ATTEMPTS:",
        "case ErrorClass.SPAM:",
        "4.4 every accepted message ends",
        _SCOPES_TESTS,
    ),
    Mutation(
        "a refused template fails its recipients",
        _SCOPES,
        "case ErrorClass.TEMPLATE if evidence.in_campaign:\n            return WaitsFor.CAMPAIGN",
        "case ErrorClass.TEMPLATE if evidence.in_campaign:\n            return None",
        "4.5 the campaign is paused and its recipient goes back to pending",
        _SCOPES_TESTS,
    ),
    Mutation(
        "a template that refuses everybody burns the campaign",
        "shared/messaging/numbers/holds.sql",
        "              limit $2) as doubted) = $2\n",
        "              limit $2) as doubted) > $2\n",
        "4.5 three different recipients in a row pause the campaign",
        (f"{_ERRORS}::test_three_recipients_refused_before_anybody_is_accepted_pause_the_campaign",),
    ),
    Mutation(
        "a smaller campaign is never to blame on its template",
        "shared/messaging/numbers/holds.sql",
        "       or not exists (select from broadcast_recipients as recipient\n",
        "       or false and not exists (select from broadcast_recipients as recipient\n",
        "4.5 all, of a smaller campaign",
        (f"{_ERRORS}::test_all_of_a_smaller_campaign_refused_pause_it",),
    ),
    Mutation(
        "marketing is held by the replica that heard of it",
        "shared/messaging/numbers/holds.sql",
        "do update set marketing_held_until = excluded.marketing_held_until\n",
        "do update set marketing_held_until = null\n",
        "4.5 spam: held for an hour, kept in its row",
        (f"{_ERRORS}::test_marketing_is_held_for_every_replica_also_one_that_starts_later",),
    ),
    Mutation(
        "an acceptance clears a template that statuses refuse",
        "shared/messaging/numbers/holds.sql",
        "          and (not $5 or exists (select from status_events as event\n"
        "                                 where event.message_id = other.id",
        "          and (true or exists (select from status_events as event\n"
        "                                 where event.message_id = other.id",
        "4.5 evidence is weighed the same whichever way it comes",
        (f"{_ERRORS}::test_of_parameters_that_statuses_refuse_only_a_delivery_clears_the_template",),
    ),
)
