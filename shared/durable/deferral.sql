-- name: lock_earlier
-- The messages themselves and, of each that waits behind an earlier one, the last one before it: whoever ends that
-- one now either commits first, and we see it, or waits for us and lets this one go.
select id from message_tracking
where id in (
    select given.id from unnest($1::uuid[]) as given (id)
    union
    select before.id
    from unnest($1::uuid[]) as given (id)
    join message_tracking as tracked on tracked.id = given.id
    cross join lateral (
        select earlier.id from message_tracking as earlier
        where earlier.mapping_id = tracked.mapping_id and earlier.queued_lane = tracked.lane
          and earlier.seq < tracked.seq
        order by earlier.seq desc
        limit 1
    ) as before
)
order by id
for share;

-- name: store
-- A message deferred again keeps its row; without a wait of its own it keeps its place, too. What was deferred
-- before a status asked for another attempt does not undo that. A message that is gone, erased or withdrawn with
-- its campaign, is not stored. Without a delay it waits for an event; one that has happened meanwhile is over. Its
-- customer is its mapping's: the person may have been joined to another one since it came.
with given as (
    select row.queue, row.exchange, row.routing_key, row.body, row.headers, row.reason, row.message_id, row.number,
           row.lane, row.ends_at, row.place, tracked.seq as message_seq,
           coalesce(mapping.customer, mapping.wa_id, row.customer) as customer,
           case when row.delay is not null then now() + row.delay
                when row.reason = 'earlier_message' and not exists (
                    select from message_tracking as earlier
                    left join broadcast_campaigns as its_campaign on its_campaign.id = earlier.campaign_id
                    where earlier.mapping_id = tracked.mapping_id and earlier.queued_lane = tracked.lane
                      and earlier.seq < tracked.seq
                      and (its_campaign.id is null or its_campaign.status = 'running')) then now()
                when row.reason = 'campaign_paused' and campaign.status is distinct from 'paused' then now()
           end as not_before
    from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::interval[],
                $8::uuid[], $9::text[], $10::text[], $11::text[], $12::timestamptz[])
         with ordinality as row (queue, exchange, routing_key, body, headers, reason, delay, message_id, number,
                                 customer, lane, ends_at, place)
    left join message_tracking as tracked on tracked.id = row.message_id
    left join conversation_mappings as mapping on mapping.id = tracked.mapping_id
    left join broadcast_campaigns as campaign on campaign.id = tracked.campaign_id
    where row.message_id is null or tracked.id is not null
), stored as (
    insert into deferred_messages
        (queue, exchange, routing_key, body, headers, reason, not_before, ends_at, message_id, message_seq,
         phone_number_id, customer, lane)
    select queue, exchange, routing_key, body, headers::jsonb, reason, not_before,
           case when reason <> 'campaign_paused' then ends_at end, message_id, message_seq, number, customer, lane
    from given
    order by place
    on conflict (message_id) where message_id is not null do update
    set queue = excluded.queue, headers = excluded.headers, reason = excluded.reason, published_until = null,
        ends_at = excluded.ends_at,
        not_before = case when excluded.not_before <= now()
                          then least(deferred_messages.not_before, excluded.not_before)
                          else excluded.not_before end
    where not deferred_messages.headers ? 'x-wabus-status-retry' or excluded.headers ? 'x-wabus-status-retry'
    returning id
)
select id from stored
union
select id from deferred_messages where message_id = any($8::uuid[]);

-- name: slow_numbers
-- A wait of a whole number is kept with the number: none of its rows is due before.
insert into business_numbers as number (phone_number_id, since, slowed_until)
select slowed.phone_number_id, to_timestamp(0), now() + max(slowed.delay)
from unnest($1::text[], $2::interval[]) as slowed (phone_number_id, delay)
group by slowed.phone_number_id
order by slowed.phone_number_id
on conflict (phone_number_id) do update
set slowed_until = greatest(number.slowed_until, excluded.slowed_until);

-- name: remove
delete from deferred_messages where id = any($1::uuid[]);

-- name: find_queues
-- Queues to which something goes back one day, each found by one look at the index.
with recursive found (queue) as (
    (select queue from deferred_messages
     where not_before is not null and reason <> 'ambiguous' order by queue limit 1)
    union all
    select (select row.queue from deferred_messages as row
            where row.queue > found.queue and row.not_before is not null and row.reason <> 'ambiguous'
            order by row.queue limit 1)
    from found where found.queue is not null
)
select queue from found where queue is not null;

-- name: claim_due
-- Who may go to one queue now. Of each number as many are out as its window allows: they were published and are
-- not handled yet, and stand first; a number that is paused, slowed down or whose breaker is open has none. What
-- was published and is still here after the lease is due again, much later where its queue was not seen empty:
-- there its message may merely wait. What is ambiguous is not simply due: the scheduler decides about it.
with recursive found (number) as (
    (select coalesce(phone_number_id, '') from deferred_messages
     where queue = $1 and not_before is not null and reason <> 'ambiguous'
     order by coalesce(phone_number_id, '') limit 1)
    union all
    select (select coalesce(row.phone_number_id, '') from deferred_messages as row
            where row.queue = $1 and coalesce(row.phone_number_id, '') > found.number
              and row.not_before is not null and row.reason <> 'ambiguous'
            order by coalesce(row.phone_number_id, '') limit 1)
    from found where found.number is not null
), waiting as (
    select found.number,
           case when breaker.state is null or breaker.state = 'closed' then null
                when breaker.state = 'open' and breaker.opened_at + $7::interval > now() then 0
                when breaker.state = 'open' or coalesce(breaker.probes_until, now()) <= now() then $8
                else greatest(0, $8 - breaker.probes) end as probes
    from found
    left join business_numbers as number on number.phone_number_id = found.number
    left join circuit_breakers as own on own.service = found.number
    left join circuit_breakers as breaker on breaker.service = coalesce(own.service, '(unknown)')
    where found.number is not null
      and coalesce(number.state, 'active') = 'active' and coalesce(number.slowed_until, now()) <= now()
      and exists (select from deferred_messages as row
                  where row.queue = $1 and coalesce(row.phone_number_id, '') = found.number
                    and row.not_before <= now() and row.reason <> 'ambiguous')
), windows as (
    select waiting.number,
           coalesce(waiting.probes,
                    least(coalesce(asked.most, $4), greatest(1, $5 / (count(*) over ())))) as most
    from waiting
    left join unnest($2::text[], $3::integer[]) as asked (number, most) on asked.number = waiting.number
), candidates as (
    select next.*, row_number() over (partition by windows.number order by next.not_before, next.seq) as place
    from windows
    cross join lateral (
        select row.id, row.not_before, row.seq, row.published_until, octet_length(row.body) as bytes
        from deferred_messages as row
        where row.queue = $1 and coalesce(row.phone_number_id, '') = windows.number
          and row.not_before <= now() and row.reason <> 'ambiguous' and coalesce(row.ends_at, 'infinity') > now()
          and not exists (select from rows_set_aside
                          where job = 'deferred messages' and row_key = row.id::text)
        order by row.not_before, row.seq
        limit windows.most
    ) as next
    where next.published_until is null or next.published_until < now() - $6::interval
    union all
    (select row.id, row.not_before, row.seq, row.published_until, octet_length(row.body) as bytes, 0
     from deferred_messages as row
     where row.queue = $1 and row.ends_at <= now() and row.reason <> 'ambiguous'
       and not exists (select from rows_set_aside where job = 'deferred messages' and row_key = row.id::text)
       and (row.published_until is null or row.published_until < now() - $6::interval)
     order by row.ends_at
     limit $11)
), summed as (
    select id, bytes, sum(bytes) over (order by place, not_before, seq) as total,
           row_number() over (order by place, not_before, seq) as rank
    from candidates
), due as (
    select row.id, summed.rank
    from summed
    join deferred_messages as row on row.id = summed.id
    where summed.total - summed.bytes < $10 and summed.rank <= $11
      and (row.published_until is null or row.published_until < now() - $6::interval)
    for update of row skip locked
)
update deferred_messages as row
set published_until = now() + $9::interval
from due
where row.id = due.id
returning row.id, due.rank, row.queue, row.exchange, row.routing_key, row.body, row.headers, row.reason;

-- name: unclaim
update deferred_messages set published_until = null where id = any($1::uuid[]);

-- name: release_followers
-- Of what waits behind an earlier message of the same customer and lane, the first may go.
update deferred_messages as row
set not_before = now()
from unnest($1::text[], $2::text[], $3::text[]) as done (number, customer, lane)
cross join lateral (
    select behind.id from deferred_messages as behind
    where behind.phone_number_id = done.number and behind.customer = done.customer and behind.lane = done.lane
      and behind.not_before is null and behind.reason = 'earlier_message'
    order by behind.message_seq
    limit 1
) as first
where row.id = first.id;

-- name: release_forgotten
-- First ones behind whom nobody stands any more, though nobody let them go: a net below `release_followers`.
with recursive found (number, customer, lane, id, message_id) as (
    (select phone_number_id, customer, lane, id, message_id from deferred_messages
     where not_before is null and reason = 'earlier_message'
     order by phone_number_id, customer, lane, message_seq limit 1)
    union all
    (select next.phone_number_id, next.customer, next.lane, next.id, next.message_id
     from found
     cross join lateral (
         select row.* from deferred_messages as row
         where (row.phone_number_id, row.customer, row.lane) > (found.number, found.customer, found.lane)
           and row.not_before is null and row.reason = 'earlier_message'
         order by row.phone_number_id, row.customer, row.lane, row.message_seq
         limit 1
     ) as next)
)
update deferred_messages
set not_before = now()
where id = any(array(
    select row.id
    from found
    join message_tracking as tracked on tracked.id = found.message_id
    join deferred_messages as row on row.id = found.id
    where row.not_before is null
      and not exists (
          select from message_tracking as earlier
          left join broadcast_campaigns as its_campaign on its_campaign.id = earlier.campaign_id
          where earlier.mapping_id = tracked.mapping_id and earlier.queued_lane = tracked.lane
            and earlier.seq < tracked.seq
            and (its_campaign.id is null or its_campaign.status = 'running'))
    for update of row skip locked));

-- name: release_campaign
-- What waits only because its campaign is paused may go.
update deferred_messages as row
set not_before = now()
from message_tracking as tracked
where tracked.campaign_id = $1 and row.message_id = tracked.id
  and row.not_before is null and row.reason = 'campaign_paused';

-- name: recall_campaign
-- What waits for anything goes back to the sender, which hands it to its campaign.
update deferred_messages as row
set ends_at = now()
from message_tracking as tracked
where tracked.campaign_id = $1 and row.message_id = tracked.id
  and row.reason not in ('ambiguous', 'campaign_paused');

-- name: count_deferred
select reason, count(*) from deferred_messages group by reason;

-- name: remove_messages
delete from deferred_messages where message_id = any($1::uuid[]);
