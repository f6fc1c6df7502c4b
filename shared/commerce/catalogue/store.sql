-- name: find
select shop_id, product_id, name, price, currency, in_stock, stock_quantity, inventory_quantity, url, image_url,
       source_version, source_updated_at, source_hash, inventory_version, inventory_updated_at, inventory_hash,
       deleted_at, revision
from products
where (shop_id, product_id) in (select * from unnest($1::text[], $2::text[]));

-- name: write
insert into products as known
    (shop_id, product_id, name, price, currency, in_stock, stock_quantity, inventory_quantity, url, image_url,
     source_version, source_updated_at, source_hash, inventory_version, inventory_updated_at, inventory_hash, deleted_at,
     revision)
select shop_id, product_id, name, price, currency, in_stock, stock_quantity, inventory_quantity, url, image_url,
       source_version, source_updated_at, source_hash, inventory_version, inventory_updated_at, inventory_hash,
       deleted_at, revision
from jsonb_populate_recordset(null::products, $1::jsonb)
order by shop_id, product_id
on conflict (shop_id, product_id) do update
set name = excluded.name, price = excluded.price, currency = excluded.currency, in_stock = excluded.in_stock,
    stock_quantity = excluded.stock_quantity, inventory_quantity = excluded.inventory_quantity, url = excluded.url,
    image_url = excluded.image_url, source_version = excluded.source_version,
    source_updated_at = excluded.source_updated_at, source_hash = excluded.source_hash,
    inventory_version = excluded.inventory_version, inventory_updated_at = excluded.inventory_updated_at,
    inventory_hash = excluded.inventory_hash, deleted_at = excluded.deleted_at, revision = excluded.revision,
    updated_at = now();

-- name: keep_views
-- Once a customer, product and hour: the first one. What is older than $8 is not kept.
insert into product_views as known
    (shop_id, customer_phone, product_id, viewed_at, price_at_view, currency, in_stock)
select shop_id, customer_phone, product_id, viewed_at, price_at_view, currency, in_stock
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::text[], $7::boolean[])
     as row (shop_id, customer_phone, product_id, viewed_at, price_at_view, currency, in_stock)
where viewed_at > now() - $8::interval
order by customer_phone, shop_id, product_id, viewed_at
on conflict (customer_phone, shop_id, product_id, viewed_hour) do update
set viewed_at = excluded.viewed_at, price_at_view = excluded.price_at_view, currency = excluded.currency,
    in_stock = excluded.in_stock
where (excluded.viewed_at, coalesce(excluded.price_at_view, -1)) < (known.viewed_at, coalesce(known.price_at_view, -1));

-- name: erase_views
delete from product_views where customer_phone = any($1::text[]);

-- name: export_views
select * from product_views where customer_phone = any($1::text[]) order by viewed_at, id;

-- name: prune_views
delete from product_views
where id = any(array(select id from product_views
                     where viewed_at < now() - $1::interval
                     order by viewed_at limit $2 for update skip locked));

-- name: move_views
-- Where the other looked at the same in the same hour, theirs stands.
update product_views as view
set customer_phone = $2
where view.customer_phone = any($1::text[])
  and not exists (select from product_views as other
                  where other.customer_phone = $2 and other.shop_id = view.shop_id
                    and other.product_id = view.product_id and other.viewed_hour = view.viewed_hour);
