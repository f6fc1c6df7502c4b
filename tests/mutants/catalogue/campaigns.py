"""Campaigns: launches, controls, batches, who is skipped (rules 6)."""

from typing import Final

from tests.mutants.mutation import Mutation

_DECISIONS: Final = "workers/broadcast_batcher/decisions.py"
_UNIT: Final = ("tests/unit/test_campaign_decisions.py",)
_RENDERING: Final = ("tests/unit/test_campaign_rendering.py",)
_BATCHER: Final = "tests/integration/messaging/campaigns/test_broadcast_batcher.py"
_SQL: Final = "workers/broadcast_batcher/queries.sql"
_STALE: Final = (
    "    if standing.control_at is not None and requested_at <= standing.control_at:\n        return None\n"
)
_SHARED: Final = "shared/messaging/campaigns/queries.sql"
_REPLAYS: Final = "tests/integration/deadletters/test_dlq_replay.py"
MUTATIONS: Final = (
    Mutation(
        "a mended launch keeps no raw body",
        "shared/messaging/campaigns/store.py",
        'None if mending is None else {"mended": mending}',
        "None",
        "2.6 what was replaced is counted, raw bytes kept",
        ("tests/integration/messaging/campaigns/test_campaign_launch.py",),
    ),
    Mutation(
        "an erasure leaves the raw bodies of launches",
        "shared/messaging/customers/erasure.py",
        '        await self._run("forget_launches", recipients)\n',
        "",
        "INTERFACE 6 profile erase leaves nothing of the person",
        ("tests/integration/messaging/customers/test_cli_profile.py",),
    ),
    Mutation(
        "a launch with other content is a repetition",
        _DECISIONS,
        "standing.fields_hash == fields_hash else Launch.CONTRADICTION",
        "standing.fields_hash else Launch.CONTRADICTION",
        "6.1 other content is state_violation",
        _UNIT,
    ),
    Mutation(
        "a launch undoes the control that overtook it",
        _DECISIONS,
        '    if standing.status != "draft":\n        return NextState(standing.status)\n',
        "",
        "6.2 cancel is final, also when it overtakes the launch",
        _UNIT,
    ),
    Mutation(
        "a stale control counts",
        _DECISIONS,
        "requested_at <= standing.control_at",
        "requested_at < standing.control_at",
        "6.2 the latest control by requested_at wins",
        _UNIT,
    ),
    Mutation(
        "a cancel may come too late",
        _DECISIONS,
        f'    if action == "cancel":\n        return NextState("cancelled")\n{_STALE}',
        f'{_STALE}    if action == "cancel":\n        return NextState("cancelled")\n',
        "6.2 cancel is final whenever it comes",
        _UNIT,
    ),
    Mutation(
        "what is done is done again",
        _DECISIONS,
        'if standing.status in ("cancelled", "done"):',
        'if standing.status in ("cancelled",):',
        "6.3 done is done",
        _UNIT,
    ),
    Mutation(
        "more is queued than the number's rate",
        "shared/messaging/numbers/ahead.py",
        "return max(0, most - queued)",
        "return most",
        "6.2 never more queued than 10 s of the number's rate",
        _UNIT,
    ),
    Mutation(
        "a slow number sends nothing",
        "shared/messaging/numbers/ahead.py",
        "most = max(1, floor(",
        "most = max(0, floor(",
        "6.2 at least one at a time",
        _UNIT,
    ),
    Mutation(
        "two replicas make the same batch",
        _SQL,
        "where id = $1 and status in ('scheduled', 'running') and next_batch_at <= now()\n",
        "where id = $1 and status in ('scheduled', 'running')\n",
        "6.1 a batch begins by a guarded update",
        (f"{_BATCHER}::test_two_replicas_with_the_same_nudges_make_one_batch",),
    ),
    Mutation(
        "a paused campaign's messages count against its number",
        _SQL,
        "where campaign.status = 'running' and coalesce(",
        "where campaign.status = 'done' and coalesce(",
        "6.2 never more queued than 10 s of the number's rate",
        (f"{_BATCHER}::test_no_more_is_queued_than_ten_seconds_of_the_numbers_rate",),
    ),
    Mutation(
        "a queued recipient is claimed again",
        _SQL,
        "where campaign_id = $1 and status = 'pending'\norder by id\nlimit $2",
        "where campaign_id = $1 and status in ('pending', 'queued')\norder by id\nlimit $2",
        "6.3 a recipient is sent to at most once",
        (f"{_BATCHER}::test_a_recipient_is_queued_once_whatever_is_repeated",),
    ),
    Mutation(
        "a campaign ends while messages are under way",
        _SHARED,
        "recipient.status in ('pending', 'queued'))",
        "recipient.status in ('pending'))",
        "6.3 done when none is pending or queued",
        (f"{_BATCHER}::test_a_campaign_is_done_when_nobody_is_pending_or_queued",),
        count=2,
    ),
    Mutation(
        "a customer is a recipient twice",
        "schema/migrations/001_core.up.sql",
        "    unique (campaign_id, wa_id)\n",
        "    check (campaign_id is not null)\n",
        "6.1 recipients are unique per campaign and customer",
        ("tests/integration/schema/test_keys.py",),
    ),
    Mutation(
        "the window is that of any number",
        "shared/messaging/campaigns/recipients.sql",
        "= asked.customer and mapping.phone_number_id = $2",
        "= asked.customer and $2::text is not null",
        "6.2 free text: the window of this customer and number",
        (f"{_BATCHER}::test_free_text_goes_only_to_whom_wrote_to_this_number_lately",),
    ),
    Mutation(
        "our own messages open the window",
        "shared/messaging/campaigns/recipients.sql",
        "and tracked.direction = 'INBOUND' and tracked.created_at",
        "and tracked.created_at",
        "6.2 those whom free text cannot reach are skipped",
        (f"{_BATCHER}::test_free_text_goes_only_to_whom_wrote_to_this_number_lately",),
    ),
    Mutation(
        "who refuses marketing is sent marketing",
        "shared/messaging/campaigns/messages.py",
        'reachability.refuses_marketing and content.category == "marketing"',
        'reachability.refuses_marketing and content.category == "none"',
        "6.2 skips the opted out",
        _RENDERING,
    ),
    Mutation(
        "free text goes out of the window",
        "shared/messaging/campaigns/messages.py",
        "if content.template is None and not reachability.window_open:",
        "if content.template is not None and not reachability.window_open:",
        "6.2 24 h window closed → skipped",
        _RENDERING,
    ),
    Mutation(
        "a missing variable is sent as nothing",
        "shared/messaging/campaigns/rendering.py",
        "    if not value.strip():\n        raise MissingVariable(name)\n",
        "",
        "6.2 skipped with a reason",
        _RENDERING,
    ),
    Mutation(
        "a failed recipient does not follow the replay of its message",
        "workers/outbound_sender/intake/queries.sql",
        "or (given.replayed and recipient.status = 'failed'",
        "or (given.replayed and recipient.status = 'never'",
        "5.5 changes reach broadcast_recipients",
        (
            f"{_REPLAYS}::test_the_recipient_of_a_campaign_that_is_done_follows_the_replays_of_its_message",
            f"{_REPLAYS}::test_a_recipient_whose_message_died_before_it_became_a_row_follows_its_replay",
        ),
    ),
)
