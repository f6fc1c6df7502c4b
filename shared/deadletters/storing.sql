-- name: free_settled_keys
-- What was replayed or dismissed no longer keeps a later death of the same message from being stored.
update dead_letter_queue as settled
set dedupe_key = null
from unnest($1::text[], $2::text[]) as row (dedupe_key, publish_id)
where settled.dedupe_key = row.dedupe_key and settled.status in ('replayed', 'dismissed')
  and settled.metadata ->> 'message_id' is distinct from row.publish_id;

-- name: store
-- Of a message that died again, `replay_of` is the first dead letter: automatic replays are counted on it.
insert into dead_letter_queue
    (id, dedupe_key, source_queue, exchange, routing_key, reason, error_message, payload, raw_body, headers,
     attempts, priority, message_id, replay_of, metadata)
select row.id, row.dedupe_key, row.source_queue, row.exchange, row.routing_key, row.reason, row.error_message,
       row.payload::jsonb, row.raw_body, row.headers::jsonb, row.attempts, row.priority, tracked.id,
       coalesce(first.id, replayed.id), row.metadata::jsonb
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::bytea[], $10::text[], $11::integer[], $12::integer[], $13::uuid[], $14::uuid[], $15::text[])
     as row (id, dedupe_key, source_queue, exchange, routing_key, reason, error_message, payload, raw_body,
             headers, attempts, priority, message_id, replay_of, metadata)
left join message_tracking as tracked on tracked.id = row.message_id
left join dead_letter_queue as replayed on replayed.id = row.replay_of
left join dead_letter_queue as first on first.id = replayed.replay_of
on conflict (dedupe_key) do nothing
returning id;
