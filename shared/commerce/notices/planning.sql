-- name: plan
-- In one order, so that two who plan the same wait for each other and never in a circle. What has a reason ($15) is
-- born skipped and is never due.
insert into notification_log
    (shop_id, kind, notification_type, dedupe_key, category, customer_phone, phone_number_id, order_id, cart,
     product_id, variables, language, status, skip_reason, not_before, not_after)
select shop_id, kind, notification_type, dedupe_key, category, customer_phone, phone_number_id, order_id, cart,
       product_id, variables::jsonb, language, case when reason is null then 'pending' else 'skipped' end, reason,
       case when reason is null then not_before end, not_after
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::uuid[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::text[])
     as row (shop_id, kind, notification_type, dedupe_key, category, customer_phone, phone_number_id, order_id, cart,
             product_id, variables, language, not_before, not_after, reason)
order by dedupe_key
on conflict (dedupe_key) do nothing;

-- name: take_back_of_cart
-- A cart's that have not left: their place under the caps is free again.
with theirs as (
    select id, status from notification_log
    where cart = $5 and status in ('pending', 'queued')
      and ($2::text is null or category = $2) and ($3::text[] is null or notification_type = any($3))
      and ($4::text[] is null or dedupe_key = any($4))
    order by id
    for update
)
update notification_log as notice
set status = 'skipped', skip_reason = $1, not_before = null, claimed_until = null, reserved_at = null,
    revision = revision + 1, updated_at = now()
from theirs
where notice.id = theirs.id
returning notice.id, notice.shop_id, notice.notification_type, theirs.status as old_status, notice.revision;

-- name: take_back_of_customer
-- A customer's, as above.
with theirs as (
    select id, status from notification_log
    where customer_phone = $5 and status in ('pending', 'queued')
      and ($2::text is null or category = $2) and ($3::text[] is null or notification_type = any($3))
      and ($4::text[] is null or dedupe_key = any($4))
    order by id
    for update
)
update notification_log as notice
set status = 'skipped', skip_reason = $1, not_before = null, claimed_until = null, reserved_at = null,
    revision = revision + 1, updated_at = now()
from theirs
where notice.id = theirs.id
returning notice.id, notice.shop_id, notice.notification_type, theirs.status as old_status, notice.revision;

-- name: take_back_of_order
-- An order's ($5: its shop), as above.
with theirs as (
    select id, status from notification_log
    where shop_id = $5 and order_id = $6 and status in ('pending', 'queued')
      and ($2::text is null or category = $2) and ($3::text[] is null or notification_type = any($3))
      and ($4::text[] is null or dedupe_key = any($4))
    order by id
    for update
)
update notification_log as notice
set status = 'skipped', skip_reason = $1, not_before = null, claimed_until = null, reserved_at = null,
    revision = revision + 1, updated_at = now()
from theirs
where notice.id = theirs.id
returning notice.id, notice.shop_id, notice.notification_type, theirs.status as old_status, notice.revision;
