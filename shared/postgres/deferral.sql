-- name: store
-- A message deferred again keeps its row and with it its place in the order of its customer. What was deferred
-- before a status asked for another attempt does not undo that. A message that is gone, erased or withdrawn with
-- its campaign, is not stored.
with stored as (
insert into deferred_messages
    (queue, exchange, routing_key, body, headers, reason, not_before, message_id, phone_number_id, customer, lane)
select queue, exchange, routing_key, body, headers::jsonb, reason, now() + delay, message_id, number, customer, lane
from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::interval[], $8::uuid[],
            $9::text[], $10::text[], $11::text[])
     with ordinality as row (queue, exchange, routing_key, body, headers, reason, delay, message_id, number,
                             customer, lane, place)
where row.message_id is null or exists (select from message_tracking as tracked where tracked.id = row.message_id)
order by place
on conflict (message_id) where message_id is not null do update
set queue = excluded.queue, headers = excluded.headers, reason = excluded.reason,
    not_before = excluded.not_before, published_until = null
where not deferred_messages.headers ? 'x-wabus-status-retry' or excluded.headers ? 'x-wabus-status-retry'
returning id)
select id from stored
union
select id from deferred_messages where message_id = any($8::uuid[]);

-- name: remove
delete from deferred_messages where id = any($1::uuid[]);

-- name: claim_due
-- Oldest first; a row that was published and is still here after the lease is due again, much later where its
-- queue was not seen empty: there its message may merely wait. What is ambiguous is not simply due: the
-- scheduler decides about it.
with candidates as (
    select id, not_before, seq, octet_length(body) as bytes from deferred_messages
    where not_before <= now()
      and (published_until is null
           or published_until < now() - case when queue = any($3::text[]) then interval '0' else $4::interval end)
      and reason <> 'ambiguous'
    order by not_before, seq
    limit $1
    for update skip locked
), due as (
    select id from (select id, bytes, sum(bytes) over (order by not_before, seq) as total from candidates) as summed
    where total - bytes < $5
)
update deferred_messages as row
set published_until = now() + $2::interval
from due
where row.id = due.id
returning row.id, row.seq, row.queue, row.exchange, row.routing_key, row.body, row.headers, row.reason;

-- name: overdue_queues
-- Where a row was published and nobody handled it within the lease.
select distinct queue from deferred_messages where not_before <= now() and published_until < now();

-- name: unclaim
update deferred_messages set published_until = null where id = any($1::uuid[]);

-- name: hasten_followers
-- What waits behind an earlier message of the same customer and lane may go.
update deferred_messages as row
set not_before = now()
from unnest($1::text[], $2::text[], $3::text[]) as done (number, customer, lane)
where row.phone_number_id = done.number and row.customer = done.customer and row.lane = done.lane
  and row.reason = 'earlier_message' and row.not_before > now();

-- name: hasten_messages
-- Evidence about these messages arrived: they need not wait for it any longer.
update deferred_messages set not_before = now()
where message_id = any($1::uuid[]) and reason = 'ambiguous' and not_before > now();
