-- name: hold
-- Before whatever hangs on them.
select id from carts where id = any($1::uuid[]) order by id for no key update;

-- name: stop
-- A round is over for good, whatever else comes; the first reason stands.
update carts
set stopped_at = now(), stop_reason = $2, revision = revision + 1, updated_at = now()
where id = any($1::uuid[]) and stopped_at is null;

-- name: mark_reminded
-- When a reminder of this round was sent, told once; that of an earlier round is none of this one's.
update carts
set reminder_1_sent_at = coalesce(reminder_1_sent_at, case row.number when 1 then row.at end),
    reminder_2_sent_at = coalesce(reminder_2_sent_at, case row.number when 2 then row.at end),
    reminder_3_sent_at = coalesce(reminder_3_sent_at, case row.number when 3 then row.at end),
    revision = revision + 1, updated_at = now()
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[]) as row (cart, round, number, at)
where carts.id = row.cart and carts.round = row.round
  and case row.number when 1 then reminder_1_sent_at when 2 then reminder_2_sent_at else reminder_3_sent_at end is null;
