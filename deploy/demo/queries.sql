-- name: traces
-- Whether anything was ever worked on here: a demo judges everything that it finds.
select exists (select from message_tracking) or exists (select from dead_letter_queue)
    or exists (select from broadcast_campaigns) or exists (select from status_events);

-- name: opt_out
insert into customer_profiles (phone, opt_in_marketing, marketing_opted_at)
select wa_id, false, now() from unnest($1::text[]) as row (wa_id)
on conflict (phone) do update set opt_in_marketing = false, marketing_opted_at = now();

-- name: paused
select phone_number_id, reason from business_numbers where state = 'paused';

-- name: unrest
-- What is still under way, all of it zero at rest.
select
    (select count(*) from message_tracking where direction = 'INBOUND' and published_at is null) as unpublished,
    (select count(*) from message_tracking where direction = 'OUTBOUND' and status = 'queued') as queued,
    (select count(*) from deferred_messages) as deferred,
    (select count(*) from outbox_events where published_at is null) as unmarked,
    (select count(*) from status_events where message_id is null) as unmatched,
    (select count(*) from broadcast_campaigns where status in ('scheduled', 'running')) as campaigns;

-- name: dead
select count(*) from dead_letter_queue;

-- name: messages
select tracked.id, tracked.mapping_id, tracked.direction, tracked.status, mapping.wa_id, tracked.wamid,
       tracked.genesys_message_id, tracked.campaign_id, tracked.published_at is not null as is_published,
       coalesce(attempts.are_ambiguous, false) as is_ambiguous, coalesce(attempts.latest, 0) as attempts
from message_tracking as tracked
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
left join lateral (
    select max(attempt) as latest,
           bool_or(outcome is null or outcome in ('ambiguous', 'abandoned')) as are_ambiguous
    from send_attempts where message_id = tracked.id
) as attempts on true;

-- name: events
select message_id, status, callback_data, extract(epoch from received_at)::float8 as received_at
from status_events where message_id is not null;

-- name: conversations
select mapping.id, mapping.phone_number_id as number, mapping.wa_id as address,
       coalesce(mapping.customer, mapping.wa_id) as customer, mapping.status,
       array_remove(array_agg(alias.conversation_id) || mapping.conversation_id, null) as conversations
from conversation_mappings as mapping
left join conversation_aliases as alias on alias.mapping_id = mapping.id
group by mapping.id;

-- name: letters
select raw_body, reason, error_message from dead_letter_queue;

-- name: recipients
select wa_id, status, skip_reason, error_code from broadcast_recipients;

-- name: told
select event_type, payload ->> 'message_id' as message_id
from outbox_events
where event_type in ('outbound.sent', 'outbound.failed') and payload ? 'message_id';

-- name: is_published
-- Whether this event was told of the subject in this field of it.
select exists (select from outbox_events
               where event_type = $1 and payload ->> $2::text = $3 and published_at is not null);

-- name: deferred
select reason, count(*) as waiting from deferred_messages group by reason;
