-- name: make_missing
-- Who has none cannot be locked. Nobody's answer: they were never asked.
insert into customer_profiles (phone)
select asked.phone from unnest($1::text[]) as asked (phone)
where not exists (select from customer_profiles where phone = asked.phone)
order by asked.phone
on conflict (phone) do nothing;

-- name: hold
select phone from customer_profiles where phone = any($1::text[]) order by phone for no key update;
