-- name: customer_of
-- Whose it is; of a released one whose it was, until somebody new writes from it.
select phone from customer_addresses where address = $1;

-- name: customer_before
-- Beside which phone an id of which no row tells stood last, in rows of before.
select coalesce(customer, wa_id)
from conversation_mappings
where user_id = $1
order by created_at desc
limit 1;

-- name: addresses_before
-- Of a person in all notations ($1): ids that stood beside them. One with a row of its own is whose that says, and one
-- step alone: a number that passed from one person to another must not chain them together.
select mapping.user_id as address
from conversation_mappings as mapping
where coalesce(mapping.customer, mapping.wa_id) = any($1::text[]) and mapping.user_id is not null
  and not exists (select from customer_addresses as known where known.address = mapping.user_id)
union
select mapping.wa_id
from conversation_mappings as mapping
where coalesce(mapping.customer, mapping.wa_id) = any($1::text[]) and mapping.customer is null
  and not exists (select from customer_addresses as known where known.address = mapping.wa_id)
order by address;
