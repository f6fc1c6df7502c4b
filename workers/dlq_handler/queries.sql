-- name: stored_before
-- Digests of messages that have a dead letter already, under the digest or under one of its deliveries.
select row.digest
from unnest($1::text[]) as row (digest)
where coalesce(
    (select true from dead_letter_queue where dedupe_key = row.digest limit 1),
    (select true from dead_letter_queue
     where dedupe_key > row.digest || ':' and dedupe_key < row.digest || ';' limit 1));

-- name: find_messages
-- The row of each dead outbound message: of its replay where it was one, by our id, else by the sender's ids.
select wanted.place, message.id
from unnest($1::integer[], $2::uuid[], $3::boolean[], $4::text[], $5::text[])
     as wanted (place, message_id, replayed, genesys_message_id, client_message_id)
join message_tracking as message on message.direction = 'OUTBOUND' and message.id = coalesce(
    case when wanted.replayed
         then (select id from message_tracking where replay_of = wanted.message_id) end,
    (select id from message_tracking where id = wanted.message_id),
    (select id from message_tracking
     where genesys_message_id = wanted.genesys_message_id and replay_of is null),
    (select id from message_tracking
     where client_message_id = wanted.client_message_id and replay_of is null));

-- name: lock_messages
-- For update, so that an attempt being claimed is waited for.
select id from message_tracking where id = any($1::uuid[]) order by id for update;

-- name: read_messages
select message.id, message.status, message.content_hash, message.lane, mapping.phone_number_id,
       coalesce(mapping.customer, mapping.wa_id) as customer,
       exists (select from send_attempts as attempt
               where attempt.message_id = message.id
                 and (attempt.outcome is null or attempt.outcome in ('sent', 'ambiguous'))) as undecided
from message_tracking as message
join conversation_mappings as mapping on mapping.id = message.mapping_id
where message.id = any($1::uuid[]);

-- name: read_parents
-- Of the dead letters whose replays died again: how often their chain went back, and whether its end is told.
select letter.id, letter.untold, coalesce(first.replay_count, letter.replay_count) as replays
from dead_letter_queue as letter
left join dead_letter_queue as first on first.id = letter.replay_of
where letter.id = any($1::uuid[]);

-- name: find_going_back
-- Messages of which another dead letter goes back, by itself or by an operator at work, or has gone back and not
-- died again.
select distinct message_id from dead_letter_queue
where message_id = any($1::uuid[]) and untold
  and (status = 'replayed' or (automatic and status <> 'dismissed')
       or (status = 'replaying' and claimed_until >= now()));

-- name: find_untold
-- Whose message goes back no more, by itself or by an operator at work.
select letter.id
from dead_letter_queue as letter
where letter.untold and (letter.status = 'dismissed' or (not letter.automatic and letter.status <> 'replayed'))
  and (letter.status <> 'replaying' or letter.claimed_until < now())
  and not exists (select from rows_set_aside where job = 'untold ends' and row_key = letter.id::text)
order by letter.id
limit $1;
