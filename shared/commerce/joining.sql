-- name: find_shops
-- In which a customer has carts.
select distinct shop_id from carts where customer_phone = any($1::text[]) order by shop_id;
