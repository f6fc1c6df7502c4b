-- name: find_messages
-- By our id, a wamid (of any attempt), the agent platform's or the application's id; with their replays.
with recursive found (id) as (
    select id from (
        select id from message_tracking where id = $1::uuid
        union all
        select id from message_tracking where wamid = $2
        union all
        select message_id from send_attempts where wamid = $2
        union all
        select id from message_tracking where genesys_message_id = $2 and replay_of is null
        union all
        select id from message_tracking where client_message_id = $2 and replay_of is null
    ) as named
    union
    select replay.id from found join message_tracking as replay on replay.replay_of = found.id
)
select id from found;

-- name: find_by_trace
-- The newest messages of a trace: those that came in it or were to be sent, and by what they told or died of; a
-- campaign's trace has many.
select tracked.id
from message_tracking as tracked
where tracked.id in (
    select event.aggregate_id::uuid from outbox_events as event
    where event.correlation_id = $1 and event.aggregate_type = 'message'
    union all
    select message_id from dead_letter_queue where metadata ->> 'correlation_id' = $1
    union all
    select message_id from deferred_messages where headers ->> 'correlation_id' = $1
    union all
    select message_id from outbound_bodies where headers ->> 'correlation_id' = $1
    union all
    select id from message_tracking where w3c_trace_id = $3
)
order by tracked.seq desc
limit $2;

-- name: dead_letters_of_trace
select id, message_id, left(payload ->> 'wamid', 255) as wamid, reason, error_message, source_queue, status,
       attempts, created_at, replayed_at, dismissed_at, resolved_by, resolution
from dead_letter_queue
where metadata ->> 'correlation_id' = $1
order by created_at desc, id desc
limit $2;

-- name: find_mappings
-- By our id or by a conversation, an earlier one included.
select id from conversation_mappings where id = $1::uuid
union
select id from conversation_mappings where conversation_id = $2
union
select mapping_id from conversation_aliases where conversation_id = $2;

-- name: find_mappings_of_customer
-- The latest of a customer, who is known by these ($1).
select id
from conversation_mappings
where coalesce(customer, wa_id) = any($1::text[])
order by created_at desc
limit $2;

-- name: count_of_customer
select (select count(*) from conversation_mappings where coalesce(customer, wa_id) = any($1::text[])) as conversations,
       (select count(*) from dead_letter_queue where left(payload ->> 'wa_id', 160) = any($2::text[])) as dead_letters;

-- name: last_messages
select last.id
from unnest($1::uuid[]) as asked
cross join lateral (
    select id from message_tracking where mapping_id = asked order by created_at desc, seq desc limit $2
) as last;

-- name: mappings
select mapping.id, mapping.wa_id, mapping.user_id, mapping.contact_name, mapping.phone_number_id,
       mapping.display_phone_number, mapping.status, mapping.conversation_id, mapping.communication_id,
       array(select alias.conversation_id from conversation_aliases as alias
             where alias.mapping_id = mapping.id order by alias.created_at) as aliases,
       mapping.created_at, mapping.last_activity_at,
       (select count(*) from message_tracking as message where message.mapping_id = mapping.id) as message_count
from conversation_mappings as mapping
where mapping.id = any($1::uuid[])
order by mapping.created_at desc, mapping.id;

-- name: messages
select id, mapping_id, direction, status, message_type, lane, wamid, genesys_message_id, client_message_id,
       campaign_id, is_new_conversation, replay_of, error_code, error_message, created_at, published_at,
       sent_at, delivered_at, read_at, failed_at, replace(w3c_trace_id::text, '-', '') as trace_id
from message_tracking
where id = any($1::uuid[])
order by seq;

-- name: attempts
select message_id, attempt, outcome, wamid, message_status, http_status, error_code, error_message, started_at,
       finished_at
from send_attempts
where message_id = any($1::uuid[])
order by message_id, attempt;

-- name: events
select message_id, source, status, outcome, occurred_at, received_at, wamid, callback_data, errors,
       details ->> 'trace_id' as trace_id
from status_events
where message_id = any($1::uuid[])
order by received_at, id;

-- name: unmatched_events
select source, status, outcome, occurred_at, received_at, wamid, callback_data, errors
from status_events
where reference = $1 and message_id is null
order by received_at, id;

-- name: deferrals
select message_id, reason, not_before, not_before <= now() as due, published_until > now() as republished,
       queue, created_at
from deferred_messages
where message_id = any($1::uuid[]);

-- name: dead_letters
select id, message_id, left(payload ->> 'wamid', 255) as wamid, reason, error_message, source_queue, status,
       attempts, created_at, replayed_at, dismissed_at, resolved_by, resolution
from dead_letter_queue
where message_id = any($1::uuid[]) or left(payload ->> 'wamid', 255) = any($2::text[])
order by created_at, id;

-- name: dead_letters_of_customer
select id, message_id, left(payload ->> 'wamid', 255) as wamid, reason, error_message, source_queue, status,
       attempts, created_at, replayed_at, dismissed_at, resolved_by, resolution
from dead_letter_queue
where left(payload ->> 'wa_id', 160) = any($1::text[])
order by created_at desc, id desc
limit $2;
