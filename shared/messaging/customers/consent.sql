-- name: hold_customer
-- Whose the address is, not to be joined with anybody until the commit.
select phone from customer_addresses where address = $1 and released_at is null for key share;

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

-- name: record_opt_outs
-- The platform says it once more with each message to them: the customer has said it once, and the time of that
-- stands. What an operator records is an answer of the customer's each time, so there a repeated one has its own
-- time (`set_consent`). Their mappings are held, so that nobody joins the customer to another one meanwhile.
with mapped as (
    select coalesce(mapping.customer, mapping.wa_id) as phone
    from conversation_mappings as mapping
    where mapping.id in (select mapping_id from message_tracking where id = any($1::uuid[]))
    order by mapping.phone_number_id, coalesce(mapping.customer, mapping.wa_id)
    for key share
)
insert into customer_profiles as profile (phone, opt_in_marketing, marketing_opted_at)
select distinct phone, false, now() from mapped order by phone
on conflict (phone) do update
set opt_in_marketing = false, marketing_opted_at = excluded.marketing_opted_at, updated_at = now()
where profile.opt_in_marketing is distinct from false;
