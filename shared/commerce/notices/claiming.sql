-- name: lease
-- The first step: due notices are nobody else's for a while ($2). Longest due first.
update notification_log as notice
set claimed_until = now() + $2::interval, updated_at = now()
from (select id from notification_log
      where not_before <= now() and (claimed_until is null or claimed_until < now())
        and not exists (select from rows_set_aside where job = 'notices' and row_key = notification_log.id::text)
      order by not_before
      limit $1
      for update skip locked) as due
where notice.id = due.id
returning notice.id, notice.customer_phone, notice.cart;

-- name: lock_due
-- The second step, with the profiles held: those that still wait. A stop that came first has taken them back.
select id from notification_log
where id = any($1::uuid[]) and status = 'pending' and not_before <= now()
order by id
for update;

-- name: read_facts
-- All that decides, of locked notices. $2: the longest window of a cap. Places of the future count, too: whoever
-- took one began later and was faster.
select notice.id, notice.shop_id, notice.kind, notice.cart, notice.notification_type, notice.category, notice.customer_phone,
       notice.phone_number_id, notice.language, notice.variables::text as variables, notice.trace::text as trace,
       notice.attempt, notice.template_only, notice.not_before, notice.not_after,
       notice.revision, now() as at,
       profile.opted_in, coalesce(profile.refuses_all, false) as refuses_all, profile.name,
       profile.language as customer_language, profile.timezone,
       cart.id is not null as has_cart, cart.stop_reason, cart.closed_at, cart.status as cart_status,
       cart.holdout, cart.round as cart_round, split_part(notice.dedupe_key, ':', 3) as planned_round,
       cart.id is not null and exists (
           select from conversation_mappings as mapping
           join message_tracking as tracked on tracked.mapping_id = mapping.id
           where coalesce(mapping.customer, mapping.wa_id) = notice.customer_phone
             and tracked.direction = 'INBOUND' and tracked.created_at > cart.abandoned_at
       ) as has_replied,
       cart.id is not null and exists (
           select from orders
           where orders.shop_id = cart.shop_id and orders.cart_id = cart.cart_id and orders.status = 'pending'
       ) as checkout_running,
       (select max(tracked.created_at)
        from conversation_mappings as mapping
        join message_tracking as tracked on tracked.mapping_id = mapping.id
        where coalesce(mapping.customer, mapping.wa_id) = notice.customer_phone
          and mapping.phone_number_id = notice.phone_number_id
          and tracked.direction = 'INBOUND' and tracked.created_at > now() - interval '24 hours') as written_at,
       array(select place.reserved_at from notification_log as place
             where place.customer_phone = notice.customer_phone and place.category = 'marketing'
               and place.reserved_at > now() - $2::interval and place.id <> notice.id) as taken
from notification_log as notice
left join carts as cart on cart.id = notice.cart
left join lateral (
    -- Under either notation: profiles of before are read by the scheduler, in its time.
    select bool_and(opt_in_marketing) as opted_in, bool_or(notification_opt_out) as refuses_all,
           max(name) as name, max(language) as language, max(timezone) as timezone
    from customer_profiles
    where phone in (notice.customer_phone, other_notation(notice.customer_phone))
) as profile on true
where notice.id = any($1::uuid[])
order by notice.customer_phone, notice.id;

-- name: lock_numbers
-- One decision of a number at a time, so that their counts of what is queued add up.
select pg_advisory_xact_lock(hashtextextended('wabus notices of number ' || number, 0))
from (select number from unnest($1::text[]) as number order by number) as ordered;

-- name: count_queued
select phone_number_id as number, count(*)::int as queued
from notification_log
where status = 'queued' and phone_number_id = any($1::text[])
group by phone_number_id;

-- name: queue
-- They are handed to the sender, and take a place under the caps.
update notification_log as notice
set status = 'queued', attempt = notice.attempt + 1, reserved_at = now(), not_before = null, claimed_until = null,
    template_name = row.template_name, phone_number_id = row.number, trace = row.trace::jsonb,
    revision = revision + 1, updated_at = now()
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as row (id, template_name, number, trace)
where notice.id = row.id;

-- name: credit
-- A reminder may bring something: one row each, under its notice's id.
insert into reengagement (id, shop_id, customer_phone, campaign_type)
select id, shop_id, customer_phone, 'cart_reminder' from notification_log
where id = any($1::uuid[]) and kind = 'cart'
order by id
on conflict (id) do nothing;

-- name: postpone
update notification_log as notice
set not_before = row.until, claimed_until = null, trace = row.trace::jsonb, updated_at = now()
from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as row (id, until, trace)
where notice.id = row.id;

-- name: skip
update notification_log as notice
set status = 'skipped', skip_reason = row.reason, not_before = null, claimed_until = null, trace = row.trace::jsonb,
    revision = revision + 1, updated_at = now()
from unnest($1::uuid[], $2::text[], $3::text[]) as row (id, reason, trace)
where notice.id = row.id;
