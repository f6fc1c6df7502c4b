-- name: list
-- The latest first; of a status, a type, a person's names where given.
select id, created_at, shop_id, notification_type as type, customer_phone as customer, status, skip_reason, not_before,
       sent_at, error_code
from notification_log
where ($1::text is null or status = $1) and ($2::text is null or notification_type = $2)
  and ($3::text[] is null or customer_phone = any($3))
order by created_at desc, id desc
limit $4;

-- name: show
select notice.id, notice.created_at, notice.shop_id, notice.kind, notice.notification_type as type, notice.dedupe_key,
       notice.order_id, notice.cart, cart.cart_id, notice.product_id, notice.customer_phone as customer,
       notice.phone_number_id, notice.category, notice.template_name, notice.language, notice.status,
       notice.skip_reason, notice.not_before, notice.not_after, notice.attempt, notice.retry_count, notice.message_id,
       notice.wamid, notice.error_code, notice.error_message, notice.sent_at, notice.delivered_at, notice.read_at,
       notice.variables::text as variables, notice.trace::text as trace
from notification_log as notice
left join carts as cart on cart.id = notice.cart
where notice.id = $1;

-- name: why
-- All of a person's ($1) since then ($2), oldest first.
select id, created_at, shop_id, notification_type as type, status, skip_reason, error_code, error_message, sent_at,
       not_before, trace::text as trace
from notification_log
where customer_phone = any($1) and created_at > now() - $2::interval
order by created_at, id;
