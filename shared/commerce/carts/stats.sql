-- name: count_states
-- Carts that are open, and those that were closed in $1; of one shop where $2 is given.
select shop_id, status, status_reason as reason, count(*) as carts,
       count(*) filter (where coalesce(reminder_1_sent_at, reminder_2_sent_at, reminder_3_sent_at) is not null)
           as reminded,
       count(*) filter (where holdout) as held_out
from carts
where (closed_at is null or closed_at > now() - $1::interval) and ($2::text is null or shop_id = $2)
group by shop_id, status, status_reason
order by shop_id, array_position(array['active', 'abandoned', 'recovered', 'converted', 'expired'], status),
         status_reason nulls first;

-- name: sum_recovered
-- An order's currency need not be that of its cart, and amounts of different currencies are never added.
select cart.shop_id, bought.currency, count(*) as carts, sum(cart.recovered_revenue)::numeric as revenue
from carts as cart
join orders as bought on bought.shop_id = cart.shop_id and bought.order_id = cart.recovered_order_id
where cart.recovered and cart.closed_at > now() - $1::interval and ($2::text is null or cart.shop_id = $2)
group by cart.shop_id, bought.currency
order by cart.shop_id, bought.currency;
