-- name: follow
-- What the order brings now, of whatever it is credited to.
update reengagement set conversion_revenue = $3
where shop_id = $1 and conversion_order_id = $2 and converted
returning id;

-- name: find
-- What was sent before the order ($4) and not long ago ($5): the reminder of its own cart, else the latest.
select reminded.id
from reengagement as reminded
where reminded.customer_phone = $2 and reminded.shop_id = $1 and not reminded.converted
  and reminded.sent_at < $4 and reminded.sent_at >= $4 - $5::interval
order by exists (select from notification_log as notice
                 join carts as cart on cart.id = notice.cart
                 where notice.id = reminded.id and cart.shop_id = $1 and cart.recovered_order_id = $3) desc,
         reminded.sent_at desc
limit 1
for update;

-- name: convert
update reengagement
set converted = true, conversion_order_id = $2, conversion_revenue = $3, currency = $4, converted_at = now()
where id = $1
returning customer_phone, campaign_type, now() as at;
