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
select reason, count(*) as messages, extract(epoch from now() - min(not_before))::float8 as overdue_s
from deferred_messages
where not_before < now() - $1::interval
group by reason
order by messages desc, reason;

-- name: unmarked_outbox
select count(*) as events, extract(epoch from now() - min(created_at))::float8 as oldest_s
from outbox_events
where published_at is null and created_at < now() - $1::interval;

-- name: rows_set_aside
select job, count(*) as rows, min(since) as since, min(row_key) as example, min(reason) as reason
from rows_set_aside
group by job
order by job;

-- name: pending_dead_letters
select reason, count(*) as letters from dead_letter_queue where status = 'pending' group by reason
order by letters desc, reason;
