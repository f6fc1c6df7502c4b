-- name: list
-- Numbers that have a row or a breaker, that the settings name ($1), or that customers write to.
with recursive used (number) as (
    (select phone_number_id from conversation_mappings where status = 'active' order by phone_number_id limit 1)
    union all
    select (select mapping.phone_number_id from conversation_mappings as mapping
            where mapping.status = 'active' and mapping.phone_number_id > used.number
            order by mapping.phone_number_id limit 1)
    from used where used.number is not null
), known (number) as (
    select unnest($1::text[])
    union select phone_number_id from business_numbers
    union select service from circuit_breakers
    union select number from used where number is not null
)
select known.number as phone_number_id, coalesce(row.state, 'active') as state,
       nullif(row.since, to_timestamp(0)) as since, row.reason,
       row.changed_by,
       case when row.slowed_until > now() then row.slowed_until end as slowed_until,
       case when row.marketing_held_until > now() then row.marketing_held_until end as marketing_held_until,
       coalesce(breaker.state, 'closed') as breaker
from known
left join business_numbers as row on row.phone_number_id = known.number
left join circuit_breakers as breaker on breaker.service = known.number
order by known.number;

-- name: set_state
-- `since` stays where the state does; returns which numbers changed.
with before as (
    select phone_number_id, state from business_numbers where phone_number_id = any($1::text[])
)
insert into business_numbers as number (phone_number_id, state, reason, since, changed_by)
select asked, $2, $3, now(), $4 from unnest($1::text[]) as asked order by asked
on conflict (phone_number_id) do update
set state = excluded.state, reason = excluded.reason, changed_by = excluded.changed_by,
    since = case when number.state = excluded.state then number.since else excluded.since end
returning number.phone_number_id,
          coalesce((select before.state from before where before.phone_number_id = number.phone_number_id),
                   'active') <> number.state as changed;

-- name: count_waiting
-- What waited for its number, and those behind it: all of it goes at the number's rate once it is active.
select phone_number_id, count(*) as messages from deferred_messages
where phone_number_id = any($1::text[]) and reason in ('number_paused', 'earlier_message')
group by phone_number_id;

-- name: count_deferred_of
-- Whatever is deferred of each number, counted up to $2, by an index alone.
select asked.number as phone_number_id, known.messages
from unnest($1::text[]) as asked (number)
cross join lateral (
    select count(*) as messages
    from (select from deferred_messages where phone_number_id = asked.number limit $2) as first_ones
) as known;
