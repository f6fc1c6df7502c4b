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

-- name: find_due
-- Open carts whose step has come, the longest due first; the job's other rows are set aside.
select id from carts
where next_step_at <= now()
  and not exists (select from rows_set_aside where job = 'carts' and row_key = carts.id::text)
order by next_step_at
limit $1;

-- name: lock_due
-- Whom a fact or another scheduler has in hand is looked at next time.
select id, shop_id, cart_id, customer_phone, phone_number_id, items::text as items, total::text as total, currency,
       cart_url, status, round, last_activity_at, stopped_at, holdout, revision, now() as at,
       array[reminder_1_sent_at, reminder_2_sent_at, reminder_3_sent_at] as reminders_sent_at
from carts
where id = any($1::uuid[]) and next_step_at <= now() and closed_at is null
order by id
for no key update skip locked;

-- name: move_on
-- When it is looked at next.
update carts set next_step_at = row.next_at, updated_at = now()
from unnest($1::uuid[], $2::timestamptz[]) as row (id, next_at)
where carts.id = row.id;

-- name: abandon
update carts
set status = 'abandoned', abandoned_at = now(), holdout = row.holdout, revision = revision + 1, updated_at = now()
from unnest($1::uuid[], $2::boolean[]) as row (id, holdout)
where carts.id = row.id;

-- name: expire
-- Nobody waits for it any more.
update carts
set status = 'expired', status_reason = 'left', closed_at = now(), next_step_at = null, revision = revision + 1,
    updated_at = now()
where id = any($1::uuid[]);
