-- name: find_latest
-- The latest row of each cart: its open one, if there is one.
select latest.*
from unnest($1::text[], $2::text[]) as asked (shop_id, cart_id)
cross join lateral (
    select id, shop_id, cart_id, source_version, source_updated_at, source_hash, last_activity_at, customer_phone,
           customer_stamp, phone_number_id, items, items_hash, total, currency, coupon_code, shipping_address, cart_url,
           status, status_reason, round, next_step_at, reminder_1_sent_at, reminder_2_sent_at, reminder_3_sent_at,
           stopped_at, stop_reason, abandoned_at, recovered, recovered_order_id, recovered_revenue, recovered_at,
           bought_at, closed_at, revision
    from carts
    where carts.shop_id = asked.shop_id and carts.cart_id = asked.cart_id
    order by carts.closed_at is null desc, carts.created_at desc, carts.id desc
    limit 1
) as latest;

-- name: find_of_customers
-- All carts of these customers in these shops.
select id, shop_id, cart_id, source_version, source_updated_at, source_hash, last_activity_at, customer_phone,
       customer_stamp, phone_number_id, items, items_hash, total, currency, coupon_code, shipping_address, cart_url,
       status, status_reason, round, next_step_at, reminder_1_sent_at, reminder_2_sent_at, reminder_3_sent_at,
       stopped_at, stop_reason, abandoned_at, recovered, recovered_order_id, recovered_revenue, recovered_at,
       bought_at, closed_at, revision
from carts
where customer_phone = any($2::text[]) and shop_id = any($1::text[]);

-- name: lock
-- In the order in which everyone locks carts; what others write of them is read after it.
select id from carts where id = any($1::uuid[]) order by id for no key update;

-- name: read
select id, shop_id, cart_id, source_version, source_updated_at, source_hash, last_activity_at, customer_phone,
       customer_stamp, phone_number_id, items, items_hash, total, currency, coupon_code, shipping_address, cart_url,
       status, status_reason, round, next_step_at, reminder_1_sent_at, reminder_2_sent_at, reminder_3_sent_at,
       stopped_at, stop_reason, abandoned_at, recovered, recovered_order_id, recovered_revenue, recovered_at,
       bought_at, closed_at, revision
from carts
where id = any($1::uuid[]);

-- name: write
insert into carts as cart
    (id, shop_id, cart_id, source_version, source_updated_at, source_hash, last_activity_at, customer_phone,
     customer_stamp, phone_number_id, items, items_hash, total, currency, coupon_code, shipping_address, cart_url,
     status, status_reason, round, next_step_at, reminder_1_sent_at, reminder_2_sent_at, reminder_3_sent_at, stopped_at,
     stop_reason, abandoned_at, recovered, recovered_order_id, recovered_revenue, recovered_at, bought_at, closed_at,
     revision)
select id, shop_id, cart_id, source_version, source_updated_at, source_hash, last_activity_at, customer_phone,
       customer_stamp, phone_number_id, items, items_hash, total, currency, coupon_code, shipping_address, cart_url,
       status, status_reason, round, next_step_at, reminder_1_sent_at, reminder_2_sent_at, reminder_3_sent_at,
       stopped_at, stop_reason, abandoned_at, recovered, recovered_order_id, recovered_revenue, recovered_at,
       bought_at, closed_at, revision
from jsonb_populate_recordset(null::carts, $1::jsonb)
order by id
on conflict (id) do update
set source_version = excluded.source_version, source_updated_at = excluded.source_updated_at,
    source_hash = excluded.source_hash, last_activity_at = excluded.last_activity_at,
    customer_phone = excluded.customer_phone, customer_stamp = excluded.customer_stamp,
    phone_number_id = excluded.phone_number_id, items = excluded.items, items_hash = excluded.items_hash,
    total = excluded.total, currency = excluded.currency, coupon_code = excluded.coupon_code,
    shipping_address = excluded.shipping_address, cart_url = excluded.cart_url, status = excluded.status,
    status_reason = excluded.status_reason, round = excluded.round, next_step_at = excluded.next_step_at,
    reminder_1_sent_at = excluded.reminder_1_sent_at, reminder_2_sent_at = excluded.reminder_2_sent_at,
    reminder_3_sent_at = excluded.reminder_3_sent_at, stopped_at = excluded.stopped_at,
    stop_reason = excluded.stop_reason, abandoned_at = excluded.abandoned_at, recovered = excluded.recovered,
    recovered_order_id = excluded.recovered_order_id, recovered_revenue = excluded.recovered_revenue,
    recovered_at = excluded.recovered_at, bought_at = excluded.bought_at, closed_at = excluded.closed_at,
    revision = excluded.revision, updated_at = now();

-- name: erase
delete from carts where customer_phone = any($1::text[]);

-- name: export
select * from carts where customer_phone = any($1::text[]) order by id;

-- name: prune
delete from carts
where id = any(array(select id from carts
                     where closed_at < now() - $1::interval
                     order by closed_at limit $2 for update skip locked));

-- name: list
-- The latest first; where $1 is given those of a shop, $2: in this state, $3: of these addresses.
select id, shop_id, cart_id, customer_phone, status, status_reason, jsonb_array_length(items) as items, total, currency,
       last_activity_at, closed_at, recovered_order_id, updated_at
from carts
where ($1::text is null or shop_id = $1) and ($2::text is null or status = $2)
  and ($3::text[] is null or customer_phone = any($3))
order by id desc
limit $4;

-- name: find_left
-- Open carts without a step to come, for nobody can be reminded of them, untouched for longer than $1.
select id from carts
where closed_at is null and next_step_at is null and created_at < now() - $1::interval
  and last_activity_at < now() - $1::interval
  and not exists (select from rows_set_aside where job = 'left carts' and row_key = carts.id::text)
order by created_at
limit $2;
