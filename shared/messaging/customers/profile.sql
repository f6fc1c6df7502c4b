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
