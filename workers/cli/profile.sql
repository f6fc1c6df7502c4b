-- name: profile
select phone, name, opt_in_marketing, marketing_opted_at, notification_opt_out, last_interaction_at,
       created_at, updated_at
from customer_profiles
where phone = $1;

-- name: conversations
select count(*) as conversations,
       count(*) filter (where status = 'active') as active,
       coalesce(sum((select count(*) from message_tracking as message where message.mapping_id = mapping.id)), 0)::bigint
           as messages
from conversation_mappings as mapping
where mapping.wa_id = $1;

-- name: audit
select at, actor, action, details from audit_log where subject = $1 order by id;

-- name: set_consent
-- Each answer counts with its time, a repeated one too.
with before as (
    select opt_in_marketing from customer_profiles where phone = $1
)
insert into customer_profiles as profile (phone, opt_in_marketing, marketing_opted_at)
values ($1, $2, now())
on conflict (phone) do update
set opt_in_marketing = excluded.opt_in_marketing, marketing_opted_at = now(), updated_at = now()
returning phone, opt_in_marketing, marketing_opted_at, (select opt_in_marketing from before) as before;
