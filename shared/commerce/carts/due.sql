-- name: hold
-- Before whatever hangs on them.
select id from carts where id = any($1::uuid[]) order by id for no key update;

-- name: stop
-- A round is over for good, whatever else comes; the first reason stands.
update carts
set stopped_at = now(), stop_reason = $2, revision = revision + 1, updated_at = now()
where id = any($1::uuid[]) and stopped_at is null;
