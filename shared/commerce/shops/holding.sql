-- name: take_turns
-- One after the other, in the order of the locks themselves.
select pg_advisory_xact_lock(lock.key)
from (
    select distinct hashtextextended(text, 0) as key from unnest($1::text[]) as text order by key
) as lock;

-- name: time
select clock_timestamp();
