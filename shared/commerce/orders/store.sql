-- name: find
select shop_id, order_id, customer_phone, customer_stamp, status, order_number, total, currency, refunds, refunded_told,
       refunded_total, items, cart_id, coupon_codes, trackings, whatsapp, placed_at, counted_phone, counted_orders,
       counted_spent, source_version, source_updated_at, source_hash, revision, created_at
from orders
where (shop_id, order_id) in (select * from unnest($1::text[], $2::text[]));

-- name: lock
-- In one order; what others write of them is read after it.
select order_id from orders
where (shop_id, order_id) in (select * from unnest($1::text[], $2::text[]))
order by shop_id, order_id
for no key update;

-- name: find_purchases
-- Of each cart the order that closes it: of several the latest, by the shop's clock.
select distinct on (placed.shop_id, placed.cart_id)
       placed.shop_id, placed.cart_id, placed.order_id,
       coalesce(placed.placed_at, placed.source_updated_at) as bought_at
from orders as placed
join unnest($1::text[], $2::text[]) as asked (shop_id, cart_id)
  on placed.shop_id = asked.shop_id and placed.cart_id = asked.cart_id
where placed.source_hash is not null and placed.status = any($3::text[])
order by placed.shop_id, placed.cart_id, bought_at desc, placed.order_id desc;

-- name: write
insert into orders as known
    (shop_id, order_id, customer_phone, customer_stamp, status, order_number, total, currency, refunds, refunded_told,
     refunded_total, items, cart_id, coupon_codes, trackings, whatsapp, placed_at, counted_phone, counted_orders,
     counted_spent, source_version, source_updated_at, source_hash, revision)
select shop_id, order_id, customer_phone, customer_stamp, status, order_number, total, currency, refunds, refunded_told,
       refunded_total, items, cart_id, coupon_codes, trackings, whatsapp, placed_at, counted_phone, counted_orders,
       counted_spent, source_version, source_updated_at, source_hash, revision
from jsonb_populate_recordset(null::orders, $1::jsonb)
order by shop_id, order_id
on conflict (shop_id, order_id) do update
set customer_phone = excluded.customer_phone, customer_stamp = excluded.customer_stamp, status = excluded.status,
    order_number = excluded.order_number, total = excluded.total, currency = excluded.currency,
    refunds = excluded.refunds, refunded_told = excluded.refunded_told, refunded_total = excluded.refunded_total,
    items = excluded.items, cart_id = excluded.cart_id, coupon_codes = excluded.coupon_codes,
    trackings = excluded.trackings, whatsapp = excluded.whatsapp, placed_at = excluded.placed_at,
    counted_phone = excluded.counted_phone, counted_orders = excluded.counted_orders,
    counted_spent = excluded.counted_spent, source_version = excluded.source_version,
    source_updated_at = excluded.source_updated_at, source_hash = excluded.source_hash, revision = excluded.revision,
    updated_at = now();

-- name: find_ids_of
select shop_id, order_id from orders where customer_phone = any($1::text[])
union
select shop_id, order_id from orders where counted_phone = any($1::text[]);

-- name: erase
delete from orders where customer_phone = any($1::text[]) or counted_phone = any($1::text[]);

-- name: export
select * from orders
where customer_phone = any($1::text[]) or counted_phone = any($1::text[])
order by created_at, shop_id, order_id;
