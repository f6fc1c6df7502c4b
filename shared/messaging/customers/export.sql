-- Each statement gives a person's rows of the table that it is named after, whole.

-- name: customer_profiles
select * from customer_profiles where phone = any($1::text[]) order by phone;

-- name: customer_addresses
select * from customer_addresses where phone = $1 order by first_seen_at, address;

-- name: consent_events
select * from consent_events where phone = any($1::text[]) order by occurred_at, id;

-- name: conversation_mappings
select * from conversation_mappings where id = any($1::uuid[]) order by created_at, id;

-- name: conversation_aliases
select * from conversation_aliases where mapping_id = any($1::uuid[]) order by mapping_id, conversation_id;

-- name: message_tracking
select * from message_tracking where id = any($1::uuid[]) order by created_at, id;

-- name: outbound_bodies
select * from outbound_bodies where message_id = any($1::uuid[]) order by created_at, message_id;

-- name: send_attempts
select * from send_attempts where message_id = any($1::uuid[]) order by started_at, message_id, attempt;

-- name: status_events
select * from status_events
where message_id = any($1::uuid[]) or id = any($2::bigint[])
order by received_at, id;

-- name: broadcast_recipients
select * from broadcast_recipients where id = any($1::bigint[]) order by id;

-- name: deferred_messages
select * from deferred_messages where id = any($1::uuid[]) order by seq;

-- name: dead_letter_queue
select * from dead_letter_queue where id = any($1::uuid[]) order by created_at, id;

-- name: launches
-- Dead letters that launch a campaign ($1): of the recipients this person alone, and nothing of the bytes.
select id, source_queue, reason, status, created_at, payload ->> 'campaign_id' as campaign_id,
       jsonb_path_query_array(payload, '$.recipients[*] ? (exists(@.** ? (@ == $addresses[*])))', $2::jsonb)
           as recipients
from dead_letter_queue
where id = any($1::uuid[])
order by created_at, id;

-- name: outbox_events
-- None that carries a launch of a campaign: others stand in it.
select * from outbox_events
where id = any($1::uuid[]) and not payload @? '$.**.recipients[*].wa_id'
order by created_at, id;
