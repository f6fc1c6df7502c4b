-- name: claim_customers
-- A row for each address ($1, in WhatsApp's notation), so that there is something to hold.
insert into customer_addresses (address, phone, kind, source)
select row.address, row.address, row.kind, 'rule'
from unnest($1::text[], $2::text[]) as row (address, kind)
order by row.address
on conflict (address) do nothing;

-- name: hold_customers
-- Whose each address is, not to be joined with anybody until the commit. One that was given up is of whoever has it now.
select address, case when released_at is null then phone else address end as customer
from customer_addresses
where address = any($1::text[])
order by address
for key share;

-- name: hold_recipients
-- The customers of messages; their conversations are held, so that nobody joins them to another meanwhile.
select distinct on (customer) customer, message_id
from (
    select coalesce(mapping.customer, mapping.wa_id) as customer, tracked.id as message_id
    from message_tracking as tracked
    join conversation_mappings as mapping on mapping.id = tracked.mapping_id
    where tracked.id = any($1::uuid[])
    order by mapping.phone_number_id, coalesce(mapping.customer, mapping.wa_id)
    for key share of mapping
) as held
order by customer, message_id;

-- name: open_profiles
insert into customer_profiles (phone)
select row.phone from unnest($1::text[]) as row (phone) order by row.phone
on conflict (phone) do nothing;

-- name: lock_profiles
select phone, opt_in_marketing, notification_opt_out
from customer_profiles
where phone = any($1::text[])
order by phone
for update;

-- name: keep_unproved
-- An answer that stands in a profile and in no event was written by a release that kept none. Before the first event it is
-- one of `core`, of notifications only a no. Beside events it is newer than they are: that release still works during an
-- upgrade.
insert into consent_events (phone, kind, value, source, occurred_at)
select profile.phone, said.kind, said.value, case when latest.at is null then 'core' else 'earlier release' end,
       case when said.kind = 'marketing' or latest.at is null then said.at else now() end
from customer_profiles as profile
cross join lateral (
    values ('marketing', profile.opt_in_marketing, coalesce(profile.marketing_opted_at, profile.created_at)),
           ('notifications', case when profile.notification_opt_out then false end, profile.created_at)
) as said (kind, value, at)
left join lateral (
    select event.value, least(event.occurred_at, event.received_at) as at
    from consent_events as event
    where event.phone = profile.phone and event.kind = said.kind
    order by 2 desc, event.value
    limit 1
) as latest on true
where profile.phone = any($1::text[]) and said.value is not null
  and case when latest.at is null then true
           when said.kind = 'notifications' then latest.value
           else not exists (select from consent_events as event
                            where event.phone = profile.phone and event.kind = said.kind and event.value = said.value
                              and least(event.occurred_at, event.received_at) = said.at) end
on conflict do nothing;

-- name: keep_events
-- Each once, whoever tells it again. Without a time: now.
insert into consent_events (phone, kind, value, source, occurred_at, evidence)
select row.phone, row.kind, row.value, row.source, coalesce(row.at, now()), row.evidence
from unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::timestamptz[], $6::text[])
     as row (phone, kind, value, source, at, evidence)
order by row.phone, row.kind, row.at, row.source, row.value
on conflict do nothing;

-- name: fold
-- Of each kind the latest counts, at equal times a refusal. What is dated ahead of our clock counts from when it came, or
-- a yes with a wrong date would outlast a STOP. Rows of before count as one of them, whichever were joined: a refusal.
-- Given are those whose answer, its time or its source changed, with the answer before.
with held as (
    select phone, kind, value, source, evidence, least(occurred_at, received_at) as at
    from consent_events
    where phone = any($1::text[])
), counted as (
    select * from held where source <> 'core'
    union all
    select * from (select distinct on (phone, kind) * from held where source = 'core'
                   order by phone, kind, value, at) as core
), latest as (
    select distinct on (phone, kind) * from counted order by phone, kind, at desc, value, source, evidence
), said as (
    select asked.phone, marketing.value as opt_in_marketing, marketing.at as marketing_opted_at,
           marketing.source as consent_source, marketing.evidence as marketing_evidence,
           coalesce(not notifications.value, false) as notification_opt_out, notifications.at as notifications_at,
           notifications.source as notifications_source, notifications.evidence as notifications_evidence
    from unnest($1::text[]) as asked (phone)
    left join latest as marketing on marketing.phone = asked.phone and marketing.kind = 'marketing'
    left join latest as notifications on notifications.phone = asked.phone and notifications.kind = 'notifications'
), before as (
    select phone, opt_in_marketing, notification_opt_out from customer_profiles where phone = any($1::text[])
)
update customer_profiles as profile
set opt_in_marketing = said.opt_in_marketing, marketing_opted_at = said.marketing_opted_at,
    consent_source = said.consent_source, notification_opt_out = said.notification_opt_out, updated_at = now()
from said
join before on before.phone = said.phone
where profile.phone = said.phone
  and (profile.opt_in_marketing, profile.marketing_opted_at, profile.consent_source, profile.notification_opt_out)
      is distinct from (said.opt_in_marketing, said.marketing_opted_at, said.consent_source, said.notification_opt_out)
returning said.*, before.opt_in_marketing as opted_in_before, before.notification_opt_out as opted_out_before;

-- name: mark_answered
-- The customer is told, where nobody told them anything within $3; gives those who are. Under the lock of their profile.
update consent_events as event
set answered_at = now()
from unnest($1::text[], $2::text[]) as row (phone, evidence)
where event.phone = row.phone and event.evidence = row.evidence and event.kind = 'marketing' and event.source = 'message'
  and not exists (select from consent_events as earlier
                  where earlier.phone = row.phone and earlier.answered_at > now() - $3::interval)
returning event.phone, (select language from customer_profiles as profile where profile.phone = event.phone) as language;

-- name: move_events
-- What two said is one person's, each of it once: of two copies the one that came first.
insert into consent_events (phone, kind, value, source, occurred_at, received_at, evidence, answered_at)
select distinct on (kind, occurred_at, source, value)
       $2::text, kind, value, source, occurred_at, received_at, evidence, answered_at
from consent_events
where phone = any($1::text[]) and phone <> $2::text
order by kind, occurred_at, source, value, received_at
on conflict (phone, kind, occurred_at, source, value) do update
set received_at = excluded.received_at, evidence = excluded.evidence
where consent_events.received_at > excluded.received_at;

-- name: remove_moved
delete from consent_events where phone = any($1::text[]) and phone <> $2::text;

-- name: copy_refusals
-- Who refused holds under either address ($2 had been $1's): nobody knows which of the two it was.
insert into consent_events (phone, kind, value, source, occurred_at, received_at, evidence)
select $2, event.kind, event.value, event.source, event.occurred_at, event.received_at, event.evidence
from consent_events as event
join customer_profiles as profile on profile.phone = event.phone
where event.phone = $1 and not event.value
  and case event.kind when 'marketing' then profile.opt_in_marketing is false else profile.notification_opt_out end
order by event.kind, event.occurred_at, event.source
on conflict do nothing;

-- name: read_events
-- Of a person under all of their names, the latest first.
select kind, value, source, occurred_at, received_at, evidence, answered_at
from consent_events
where phone = any($1::text[])
order by occurred_at desc, value, kind, source;

-- name: read_answer
select opt_in_marketing, marketing_opted_at from customer_profiles where phone = $1;
