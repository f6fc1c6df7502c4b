-- name: lock_addresses
-- In the order in which a join locks them.
select address from customer_addresses where phone = $1 order by address for update;

-- name: free_addresses
-- The word keeps what comes in later from joining them once more.
update customer_addresses
set phone = $3, doubt = 'unlinked', doubted_at = now()
where phone = $1 and address = any($2::text[]);

-- name: forgive
-- An operator has linked them after all.
update customer_addresses set doubt = null, doubted_at = null where address = any($1::text[]) and doubt = 'unlinked';

-- name: find_own_mappings
-- Of the person's ($1), those last used under the address ($2) in whose time no other of theirs was seen. When one
-- was seen last is known to the day.
select mapping.id, mapping.conversation_id
from conversation_mappings as mapping
where coalesce(mapping.customer, mapping.wa_id) = any($1::text[]) and mapping.wa_id = any($2::text[])
  and not exists (select from customer_addresses as other
                  where other.phone = $3 and other.address <> all($2::text[]) and other.source <> 'rule'
                    and other.first_seen_at <= mapping.last_activity_at
                    and other.last_seen_at >= mapping.created_at - interval '1 day')
order by mapping.phone_number_id, mapping.wa_id, mapping.id
for update;

-- name: move_mappings
update conversation_mappings set customer = $2, updated_at = now() where id = any($1::uuid[]);

-- name: move_deferred
update deferred_messages set customer = $2
where message_id in (select id from message_tracking where mapping_id = any($1::uuid[])) and customer is not null;

-- name: move_recipients
update broadcast_recipients set customer = $3, updated_at = now()
where coalesce(customer, wa_id) = any($1::text[]) and wa_id = any($2::text[]);

-- name: numbers
-- Business numbers at which either may be cached.
select distinct phone_number_id from conversation_mappings where coalesce(customer, wa_id) = any($1::text[]);
