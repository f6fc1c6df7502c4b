-- name: find_by_shop_ids
select profile.source_shop as shop_id, profile.wc_customer_id as customer_id, min(profile.phone) as phone
from unnest($1::text[], $2::text[]) as asked (shop_id, customer_id)
join customer_profiles as profile
  on profile.source_shop = asked.shop_id and profile.wc_customer_id = asked.customer_id
group by profile.source_shop, profile.wc_customer_id
having count(*) = 1;

-- name: show_shop_profile
insert into customer_profiles as profile
    (phone, source_shop, wc_customer_id, name, email, language, timezone, saved_addresses, last_known_address, tags,
     source_version, source_updated_at, source_hash)
values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10::jsonb, $11, $12, $13)
on conflict (phone) do update
set source_shop = excluded.source_shop, wc_customer_id = excluded.wc_customer_id,
    name = coalesce(profile.name, excluded.name), email = excluded.email,
    language = coalesce(excluded.language, profile.language),
    timezone = excluded.timezone, saved_addresses = excluded.saved_addresses,
    last_known_address = excluded.last_known_address, tags = excluded.tags,
    source_version = excluded.source_version, source_updated_at = excluded.source_updated_at,
    source_hash = excluded.source_hash, updated_at = now()
where profile.source_hash is null
   or (profile.source_version, profile.source_updated_at, profile.source_hash)
      < (excluded.source_version, excluded.source_updated_at, excluded.source_hash)
returning source_hash;

-- name: shown_hash
select source_hash from customer_profiles where phone = $1;

-- name: make_profiles
insert into customer_profiles (phone) select phone from unnest($1::text[]) as phone order by phone
on conflict (phone) do nothing;

-- name: lock_profiles
select phone, currency from customer_profiles where phone = any($1::text[]) order by phone for update;

-- name: add_totals
update customer_profiles
set total_orders = total_orders + $2, total_spent = total_spent + $3::numeric, currency = coalesce(currency, $4),
    updated_at = now()
where phone = $1;
