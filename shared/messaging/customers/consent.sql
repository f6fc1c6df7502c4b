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
