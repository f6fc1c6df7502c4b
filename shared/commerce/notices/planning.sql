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

-- name: lock_of_cart
-- A cart's that have not left.
select id from notification_log where cart = $1 and status in ('pending', 'queued') order by id for update;

-- name: lock_of_customer
select id from notification_log where customer_phone = $1 and status in ('pending', 'queued') order by id for update;

-- name: lock_of_order
select id from notification_log
where shop_id = $1 and order_id = $2 and status in ('pending', 'queued')
order by id for update;

-- name: take_back
-- Of those that are locked: their place under the caps is free again.
update notification_log
set status = 'skipped', skip_reason = $2, not_before = null, claimed_until = null, reserved_at = null,
    revision = revision + 1, updated_at = now()
where id = any($1::uuid[])
  and ($3::text is null or category = $3) and ($4::text[] is null or notification_type = any($4))
  and ($5::text[] is null or dedupe_key = any($5))
returning id;
