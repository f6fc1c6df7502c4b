-- name: put_off
-- Of messages tracked just before, in their transaction; their bodies are kept beside them.
insert into deferred_messages
    (queue, exchange, routing_key, body, headers, reason, not_before, ends_at, message_id, message_seq,
     phone_number_id, customer, lane)
select kept.queue, kept.exchange, kept.routing_key, kept.body, kept.headers, $3, now(), given.ends_at, tracked.id,
       tracked.seq, mapping.phone_number_id, coalesce(mapping.customer, mapping.wa_id), tracked.lane
from unnest($1::uuid[], $2::timestamptz[]) as given (id, ends_at)
join message_tracking as tracked on tracked.id = given.id
join outbound_bodies as kept on kept.message_id = given.id
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
where not exists (
    select from message_tracking as earlier
    where earlier.mapping_id = tracked.mapping_id and earlier.queued_lane = tracked.lane
      and earlier.seq < tracked.seq)
order by tracked.seq
returning message_id;

-- name: ask_retry
-- The deferred row gets a new id: settling a delivery of the row it replaces must not remove it.
insert into deferred_messages
    (queue, exchange, routing_key, body, headers, reason, not_before, message_id, message_seq, phone_number_id,
     customer, lane)
select body.queue, body.exchange, body.routing_key, body.body,
       jsonb_build_object('correlation_id', tracked.id, 'idempotency_key', tracked.id) || body.headers
           || jsonb_build_object($5::text, row.attempt, 'x-attempt', 1, 'x-wabus-message-id', tracked.id),
       row.reason, now() + row.delay, tracked.id, tracked.seq, mapping.phone_number_id,
       coalesce(mapping.customer, mapping.wa_id), tracked.lane
from unnest($1::uuid[], $2::integer[], $3::text[], $4::interval[]) as row (id, attempt, reason, delay)
join message_tracking as tracked on tracked.id = row.id
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
join outbound_bodies as body on body.message_id = row.id
on conflict (message_id) where message_id is not null do update
set id = excluded.id, queue = excluded.queue, exchange = excluded.exchange, routing_key = excluded.routing_key,
    body = excluded.body, headers = excluded.headers, reason = excluded.reason, not_before = excluded.not_before,
    published_until = null;

-- name: defer_lost
-- Due now, in the order of their customers.
insert into deferred_messages
    (queue, exchange, routing_key, body, headers, reason, not_before, message_id, message_seq, phone_number_id,
     customer, lane)
select body.queue, body.exchange, body.routing_key, body.body,
       jsonb_build_object('correlation_id', tracked.id, 'idempotency_key', tracked.id, 'x-attempt', 1) || body.headers,
       $2, now(), tracked.id, tracked.seq, mapping.phone_number_id, coalesce(mapping.customer, mapping.wa_id),
       tracked.lane
from message_tracking as tracked
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
join outbound_bodies as body on body.message_id = tracked.id
where tracked.id = any($1::uuid[]) and tracked.queued_lane is not null
order by tracked.seq
on conflict (message_id) where message_id is not null do nothing
returning message_id;
