-- name: record
insert into outbox_events
    (id, aggregate_id, aggregate_type, event_type, payload, correlation_id, exchange, routing_key, claimed_until)
select id, aggregate_id, aggregate_type, event_type, payload::jsonb, correlation_id, exchange, routing_key,
       now() + $9::interval
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
     as row (id, aggregate_id, aggregate_type, event_type, payload, correlation_id, exchange, routing_key);

-- name: record_once
-- Events whose id is made of what they tell, in one order; returned are those that were not recorded before.
insert into outbox_events
    (id, aggregate_id, aggregate_type, event_type, payload, correlation_id, exchange, routing_key, claimed_until)
select id, aggregate_id, aggregate_type, event_type, payload::jsonb, correlation_id, exchange, routing_key,
       now() + $9::interval
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
     as row (id, aggregate_id, aggregate_type, event_type, payload, correlation_id, exchange, routing_key)
order by row.id
on conflict (id) do nothing
returning id;

-- name: reopen
-- To be told once more, as if it were recorded now. What somebody is writing to is passed over: nobody waits.
update outbox_events as row
set created_at = now(), published_at = null, claimed_until = now() + $2::interval
from (select id from outbox_events where id = any($1::uuid[]) for update skip locked) as free
where row.id = free.id
returning row.id, row.aggregate_id, row.aggregate_type, row.event_type, row.payload::text as payload,
          row.correlation_id, row.exchange, row.routing_key;

-- name: mark
update outbox_events set published_at = now() where id = any($1::uuid[]) and published_at is null;

-- name: find_destinations
-- Of what is unmarked, each found by one look at the index.
with recursive found (destination) as (
    (select destination from outbox_events where published_at is null order by destination limit 1)
    union all
    select (select row.destination from outbox_events as row
            where row.published_at is null and row.destination > found.destination
            order by row.destination limit 1)
    from found where found.destination is not null
)
select destination from found where destination is not null;

-- name: claim_unmarked
-- Left by a writer that died or could not publish, or is none of ours; in the order in which they were recorded.
with candidates as (
    select id, created_at, payload_bytes as bytes from outbox_events
    where destination = $4 and published_at is null and (claimed_until is null or claimed_until < now())
      and not exists (select from rows_set_aside
                      where job = 'unmarked publications' and row_key = outbox_events.id::text)
    order by created_at, id
    limit $1
    for update skip locked
), left_over as (
    select id from (select id, bytes, sum(bytes) over (order by created_at, id) as total from candidates) as summed
    where total - bytes < $3
)
update outbox_events as row
set claimed_until = now() + $2::interval
from left_over
where row.id = left_over.id
returning row.id, row.aggregate_id, row.aggregate_type, row.event_type, row.payload::text as payload,
          row.correlation_id, row.exchange, row.routing_key;

-- name: oldest_unmarked_s
-- Seconds are subtracted, not times: of one that is infinite PostgreSQL takes no difference.
with recursive found (destination, created_at) as (
    (select destination, created_at from outbox_events
     where published_at is null order by destination, created_at limit 1)
    union all
    (select next.destination, next.created_at
     from found
     cross join lateral (
         select row.destination, row.created_at from outbox_events as row
         where row.published_at is null and row.destination > found.destination
         order by row.destination, row.created_at
         limit 1
     ) as next)
)
select coalesce(extract(epoch from now()) - extract(epoch from min(created_at)), 0)::float8 from found;

-- name: prune
delete from outbox_events
where id = any(array(select id from outbox_events
                     where created_at < now() - $1::interval and published_at is not null
                     order by created_at limit $2 for update skip locked));
