-- name: server
select current_setting('server_version') as version, current_setting('server_version_num')::integer / 10000 as major,
       pg_is_in_recovery() as in_recovery, current_setting('transaction_read_only')::boolean as read_only;

-- name: connections
-- Connections that anyone but a superuser may open, and those open; seen by every role, unlike pg_stat_activity.
select current_setting('max_connections')::integer
           - current_setting('superuser_reserved_connections')::integer as allowed,
       (select sum(numbackends)::integer from pg_stat_database) as used;

-- name: has_schema
select to_regclass('schema_migrations') is not null;

-- name: schema_version
select coalesce(max(version), 0) from schema_migrations;

-- name: paused_numbers
select phone_number_id, reason, since, changed_by from business_numbers where state = 'paused' order by phone_number_id;

-- name: open_breakers
select service, failures, extract(epoch from now() - opened_at)::float8 as open_s
from circuit_breakers
where state = 'open'
order by service;

-- name: overdue_deferrals
-- Due for long, of a number that nothing holds and of which nothing is on its way either: behind what is, a message
-- waits for its number's rate.
with moving as materialized (
    select distinct queue, coalesce(phone_number_id, '') as number from deferred_messages where published_until > now()
)
select row.reason, count(*) as messages, extract(epoch from now() - min(row.not_before))::float8 as overdue_s
from deferred_messages as row
left join business_numbers as number on number.phone_number_id = row.phone_number_id
left join circuit_breakers as breaker on breaker.service = row.phone_number_id
left join moving on moving.queue = row.queue and moving.number = coalesce(row.phone_number_id, '')
where row.not_before < now() - $1::interval and moving.queue is null
  and coalesce(number.state, 'active') = 'active' and coalesce(number.slowed_until, now()) <= now()
  and coalesce(breaker.state, 'closed') <> 'open'
group by row.reason
order by messages desc, row.reason;

-- name: unmarked_outbox
select count(*) as events, extract(epoch from now() - min(created_at))::float8 as oldest_s
from outbox_events
where published_at is null and created_at < now() - $1::interval;

-- name: rows_set_aside
select job, count(*) as rows, min(since) as since, min(row_key) as example, min(reason) as reason
from rows_set_aside
group by job
order by job;

-- name: identity
-- How many conversations of before do not name their customer yet, of how many, and since when that goes on. Both
-- are counted up to $1; beyond that PostgreSQL estimates them.
select case when unnamed <= $1 then unnamed
            else greatest(unnamed, (select reltuples::bigint from pg_class
                                    where oid = 'conversation_mappings_unnamed'::regclass)) end as unnamed,
       case when mappings <= $1 then mappings
            else greatest(mappings, (select reltuples::bigint from pg_class
                                     where oid = 'conversation_mappings'::regclass)) end as conversations,
       (select extract(epoch from now() - applied_at)::float8 from schema_migrations where version = 2) as since_s
from (select count(*) as unnamed
      from (select from conversation_mappings where customer is null limit $1::bigint + 1) as first_ones) as left_over,
     (select count(*) as mappings
      from (select from conversation_mappings limit $1::bigint + 1) as first_ones) as known;

-- name: pending_dead_letters
select reason, count(*) as letters from dead_letter_queue where status = 'pending' group by reason
order by letters desc, reason;

-- name: overdue_notices
-- Automatic messages that nobody has decided, counted up to $2.
select count(*) as rows, extract(epoch from now() - min(not_before))::float8 as overdue_s
from (select not_before from notification_log where not_before < now() - $1::interval
      order by not_before limit $2) as first_ones;

-- name: overdue_carts
-- Carts at which nobody has looked, counted up to $2.
select count(*) as rows, extract(epoch from now() - min(next_step_at))::float8 as overdue_s
from (select next_step_at from carts where next_step_at < now() - $1::interval
      order by next_step_at limit $2) as first_ones;
