-- name: put
-- Seen again, it waits from now on anew.
insert into rows_set_aside (job, row_key, reason) values ($1, $2, $3)
on conflict (job, row_key) do update set reason = excluded.reason, since = now();

-- name: forgive
-- What was set aside long enough ago is tried again: it was mended, or is set aside anew.
delete from rows_set_aside where since < now() - $1::interval;

-- name: count
select job, count(*) as rows from rows_set_aside group by job;
