-- name: profile
-- Of one person, told under $1. Rows of before may be several ($2): they are told as a join folds them.
select $1::text as phone,
       (array_agg(name order by last_interaction_at desc nulls last) filter (where name is not null))[1] as name,
       bool_and(opt_in_marketing) as opt_in_marketing, max(marketing_opted_at) as marketing_opted_at,
       (array_agg(consent_source order by opt_in_marketing) filter (where opt_in_marketing is not null))[1]
           as consent_source,
       bool_or(notification_opt_out) as notification_opt_out, max(last_interaction_at) as last_interaction_at,
       min(created_at) as created_at, max(updated_at) as updated_at
from customer_profiles
where phone = any($2::text[])
having count(*) > 0;

-- name: conversations
select count(*) as conversations,
       count(*) filter (where status = 'active') as active,
       coalesce(sum((select count(*) from message_tracking as message where message.mapping_id = mapping.id)), 0)::bigint
           as messages
from conversation_mappings as mapping
where coalesce(mapping.customer, mapping.wa_id) = any($1::text[]);

-- name: shop_figures
-- Of rows of before the one that a shop told of last.
select source_shop, wc_customer_id, email, language, timezone, tags, last_known_address, total_orders, total_spent,
       currency
from customer_profiles
where phone = any($1::text[]) and (source_hash is not null or total_orders > 0)
order by source_updated_at desc nulls last, phone
limit 1;
