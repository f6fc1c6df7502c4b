"""The inbound resolver and the correlator (rules 3)."""

from typing import Final

from tests.mutants.mutation import Mutation

_SQL: Final = "workers/inbound_resolver/queries.sql"
_RESOLVER: Final = "tests/integration/messaging/conversations/test_inbound_resolver.py"
_PUBLICATION: Final = "tests/integration/messaging/conversations/test_inbound_publication.py"
_CORRELATION: Final = "shared/messaging/conversations/correlation.py"

MUTATIONS: Final = (
    Mutation(
        "two active mappings of a customer",
        "schema/migrations/001_core.up.sql",
        "create unique index conversation_mappings_one_active",
        "create index conversation_mappings_one_active",
        "INTERFACE 4 one active row per customer and number",
        ("tests/integration/schema/test_keys.py",),
    ),
    Mutation(
        "a wamid is tracked twice",
        "schema/migrations/001_core.up.sql",
        "create unique index message_tracking_wamid",
        "create index message_tracking_wamid",
        "3.1 idempotent on wamid",
        ("tests/integration/schema/test_keys.py",),
    ),
    Mutation(
        "every message is new",
        _SQL,
        "fresh.wamid = mapped.first_message_id, fresh.sent_at",
        "true, fresh.sent_at",
        "3.3 new is exactly one message of a mapping",
        (f"{_RESOLVER}::test_one_message_of_a_mapping_is_new",),
    ),
    Mutation(
        "an inbound message forgets its trace",
        _SQL,
        "           fresh.w3c_trace_id\n",
        "           null::uuid\n",
        "INTERFACE 6 message show TRACE_ID",
        (
            "tests/integration/messaging/messages/test_cli_trace.py::test_the_trace_of_an_inbound_message_that_went_well_finds_it",
        ),
    ),
    Mutation(
        "a trace is looked up in all messages",
        "schema/migrations/001_core.up.sql",
        "using brin (w3c_trace_id uuid_bloom_ops)",
        "using brin (w3c_trace_id uuid_minmax_ops)",
        "INTERFACE 4 each index with the query that needs it",
        (
            "tests/integration/messaging/messages/test_cli_trace.py::test_a_trace_is_looked_up_without_reading_all_messages",
        ),
    ),
    Mutation(
        "what another replica is publishing is claimed",
        "shared/messaging/messages/inbound.sql",
        "where wamid = any($1::text[]) and published_at is null\n"
        "  and (publish_claimed_until is null or publish_claimed_until < now() or publish_claimed_by = $3)",
        "where wamid = any($1::text[]) and published_at is null",
        "3.2 publication is claimed",
        (f"{_PUBLICATION}::test_a_copy_waits_for_its_publisher_and_does_not_die",),
    ),
    Mutation(
        "a dead publisher's claim is never taken over",
        "shared/messaging/messages/inbound.sql",
        "publish_claimed_until < now() or publish_claimed_by = $3",
        "publish_claimed_by = $3",
        "3.2 a claim whose lease ran out is taken over",
        (f"{_PUBLICATION}::test_a_claim_of_a_dead_publisher_is_taken_over_without_a_retry",),
    ),
    Mutation(
        "a publisher does not keep its claim",
        "workers/inbound_resolver/resolver.py",
        "await self._store.extend_claims(list(wamids))",
        "list(wamids)",
        "3.2 twenty replicas publish once",
        (f"{_PUBLICATION}::test_a_publisher_keeps_its_claim_however_long_rabbitmq_takes",),
    ),
    Mutation(
        "a copy is acked before its publication",
        "workers/inbound_resolver/resolver.py",
        "done = {inbound.message.wamid for inbound in ours} - elsewhere",
        "done = {inbound.message.wamid for inbound in ready}",
        "3.2 acked only once published_at is set",
        (
            "tests/e2e/test_crashes_of_the_resolver.py::"
            "test_a_copy_is_not_acknowledged_while_another_replica_publishes_its_message",
        ),
    ),
    Mutation(
        "two handlings of one process publish the same message",
        "workers/inbound_resolver/resolver.py",
        " if inbound.message.wamid not in self._in_hand]",
        "]",
        "3.2 published once, without Redis too",
        (
            "tests/integration/messaging/conversations/test_inbound_publication.py::"
            "test_two_handlings_of_one_replica_publish_a_message_once_without_redis",
        ),
    ),
    Mutation(
        "an enriched message need not reach its queue",
        "workers/inbound_resolver/resolver.py",
        "mandatory=self._enriched_queue",
        "mandatory=False",
        "2.2 what goes to our own queues must be known to have reached them",
        (f"{_RESOLVER}::test_an_enriched_message_that_reaches_no_queue_is_published_until_it_does",),
    ),
    Mutation(
        "the idempotency key is a new one",
        "workers/inbound_resolver/resolver.py",
        "idempotency_key=message.wamid",
        "idempotency_key=trace_id",
        "INTERFACE 2 for inbound the wamid",
        (f"{_RESOLVER}::test_properties_of_what_is_published_follow_the_contract",),
    ),
    Mutation(
        "the cache is not written through",
        "workers/inbound_resolver/resolver.py",
        "        await self._cache.set_many(fresh.values())\n",
        "        list(fresh.values())\n",
        "1.3 written through after commit",
        (f"{_RESOLVER}::test_a_message_is_tracked_enriched_and_cached",),
    ),
    Mutation(
        "an earlier message's conversation replaces a later one's",
        _CORRELATION,
        "standing.seq is None or message_seq > standing.seq",
        "standing.seq is None or message_seq != standing.seq",
        "3.5 one that comes with an earlier message is state_violation",
        (f"{_RESOLVER}::test_a_later_correlation_replaces_and_an_earlier_one_contradicts",),
    ),
    Mutation(
        "an alias that comes again contradicts",
        _CORRELATION,
        "    if is_alias:",
        "    if False:",
        "3.5 the same again changes nothing",
        (f"{_RESOLVER}::test_a_replaced_conversation_that_comes_again_with_its_message_changes_nothing",),
    ),
    Mutation(
        "a medium on a host that is not allowed",
        "workers/inbound_resolver/intake.py",
        "check_media_url(message.media_url, allowed_hosts)",
        "check_media_url(message.media_url, ())",
        "3.4 a host that is not allowed is dead as invalid_media_url",
        (f"{_RESOLVER}::test_a_medium_is_taken_from_allowed_hosts_only",),
    ),
)
