-- name: count_recipients
select campaign_id, status, count(*)::int as recipients
from broadcast_recipients
where campaign_id = any($1::text[])
group by campaign_id, status;

-- name: add_recipients
-- In their order; of an address named twice the first counts. $4: the platform's notation, by which it is known whose
-- each is.
insert into broadcast_recipients (campaign_id, wa_id, variables, customer)
select $1, row.wa_id, row.variables::jsonb, coalesce(known.phone, row.notation)
from unnest($2::text[], $3::text[], $4::text[]) with ordinality as row (wa_id, variables, notation, place)
left join customer_addresses as known on known.address = row.notation and known.released_at is null
order by row.place
on conflict (campaign_id, wa_id) do nothing;

-- name: read_reachability
-- Whose each address is ($4: in the platform's notation), and whether another one of theirs is reached by the campaign
-- ($5) already. The window is that of this customer and this number: any of their conversations, open or past. It is
-- counted from when we stored the message, so that one clock decides.
with asked as (
    select row.wa_id, coalesce(known.phone, row.notation) as customer
    from unnest($1::text[], $4::text[]) as row (wa_id, notation)
    left join customer_addresses as known on known.address = row.notation and known.released_at is null
)
select asked.wa_id, asked.customer,
       exists (select from broadcast_recipients as twin
               where coalesce(twin.customer, twin.wa_id) = asked.customer and twin.campaign_id = $5
                 and twin.wa_id <> asked.wa_id
                 and twin.status in ('queued', 'sent', 'delivered', 'read', 'failed')) as is_reached,
       coalesce(profile.refuses_marketing, false) as refuses_marketing,
       coalesce(profile.refuses_all, false) as refuses_all,
       exists (select
               from conversation_mappings as mapping
               join message_tracking as tracked on tracked.mapping_id = mapping.id
               where coalesce(mapping.customer, mapping.wa_id) = asked.customer and mapping.phone_number_id = $2
                 and tracked.direction = 'INBOUND' and tracked.created_at > now() - $3::interval) as window_open
from asked
-- A refusal counts under either notation: profiles of before are read by the scheduler, in its time.
left join lateral (
    select bool_or(not opt_in_marketing) as refuses_marketing, bool_or(notification_opt_out) as refuses_all
    from customer_profiles
    where phone in (asked.customer, other_notation(asked.customer))
) as profile on true;

-- name: skip
update broadcast_recipients as recipient
set status = 'skipped', skip_reason = row.reason, updated_at = now()
from unnest($1::bigint[], $2::text[]) as row (id, reason)
where recipient.id = row.id;

-- name: queue
-- Whose rows others wrote get their customer here.
update broadcast_recipients as recipient
set status = 'queued', customer = row.customer, queued_at = now(), updated_at = now()
from unnest($1::bigint[], $2::text[]) as row (id, customer)
where recipient.id = row.id;

-- name: skip_pending
-- Some of those that a cancelled campaign did not get to.
update broadcast_recipients as recipient
set status = 'skipped', skip_reason = $2, updated_at = now()
from (select id from broadcast_recipients
      where campaign_id = $1 and status = 'pending'
      order by id
      limit $3
      for update) as rest
where recipient.id = rest.id;

-- name: return_unsent
-- A campaign that is not running takes them back; only what is queued. Its row is locked: a cancel either
-- comes first, and nobody goes back to pending, or sweeps up afterwards what did. Each by its key, here and in the
-- like: by their status all that is queued of the campaign would be read.
with returned as (
    select tracked.campaign_id, coalesce(row.wa_id, mapping.wa_id) as wa_id, row.status, row.reason
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as row (message_id, wa_id, status, reason)
    join message_tracking as tracked on tracked.id = row.message_id
    join conversation_mappings as mapping on mapping.id = tracked.mapping_id
), campaign as (
    select id, status from broadcast_campaigns
    where id in (select campaign_id from returned)
    order by id
    for share
)
update broadcast_recipients as recipient
set status = case when campaign.status = 'cancelled' then 'skipped' else returned.status end,
    queued_at = null, updated_at = now(),
    skip_reason = case when campaign.status = 'cancelled' then 'campaign_cancelled' else returned.reason end
from returned
join campaign on campaign.id = returned.campaign_id
cross join lateral (
    select id from broadcast_recipients where campaign_id = returned.campaign_id and wa_id = returned.wa_id limit 1
) as found
where recipient.id = found.id and recipient.status = 'queued';

-- name: return_refused
-- Recipients whose message was refused are their campaign's again, as if it had never been sent: those who still
-- carry that message, for another one may be under way to them. (Those of `return_unsent` were never sent to; no
-- message may be bound to them yet, so it finds them by their address.) The campaigns' rows are locked, so that a
-- cancel leaves nobody pending.
with campaign as (
    select id, status from broadcast_campaigns
    where id in (select campaign_id from message_tracking where id = any($1::uuid[]))
    order by id
    for share
)
update broadcast_recipients as recipient
set status = case when campaign.status = 'cancelled' then 'skipped' else 'pending' end,
    skip_reason = case when campaign.status = 'cancelled' then 'campaign_cancelled' end,
    wamid = null, sent_at = null, queued_at = null, updated_at = now()
from campaign
where recipient.id = any(array(select id from broadcast_recipients where message_id = any($1::uuid[])))
  and recipient.campaign_id = campaign.id and recipient.status in ('pending', 'queued', 'sent');

-- name: requeue_recipients
-- Their messages are under way again. $2: what was refused of them leaves the template in doubt.
update broadcast_recipients as recipient
set status = 'queued', wamid = null, sent_at = null, queued_at = coalesce(recipient.queued_at, now()),
    refused_at = case when $2 then now() else recipient.refused_at end, updated_at = now()
where recipient.message_id = any($1::uuid[]) and recipient.status in ('pending', 'queued', 'sent');

-- name: move_recipients
-- By the rank of states, as their messages; what was skipped stays so.
update broadcast_recipients as recipient
set status = case when array_position(ladder.states, row.status) > array_position(ladder.states, recipient.status)
                  then row.status else recipient.status end,
    wamid = coalesce(row.wamid, recipient.wamid),
    sent_at = coalesce(row.sent_at, recipient.sent_at),
    delivered_at = coalesce(row.delivered_at, recipient.delivered_at),
    read_at = coalesce(row.read_at, recipient.read_at),
    error_code = case row.status when 'failed' then row.error_code when 'read' then null
                                 else recipient.error_code end,
    updated_at = now()
from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::text[])
     as row (id, status, wamid, sent_at, delivered_at, read_at, error_code),
     lateral (select recipient.id from broadcast_recipients as recipient where recipient.message_id = row.id
              union
              select recipient.id from broadcast_recipients as recipient where recipient.wamid = row.wamid) as found,
     (select array['pending', 'queued', 'sent', 'delivered', 'failed', 'read']) as ladder (states)
where recipient.id = found.id and recipient.status <> 'skipped';

-- name: skip_cancelled
update broadcast_recipients as recipient
set status = 'skipped', skip_reason = 'campaign_cancelled', error_code = null, updated_at = now()
where recipient.message_id = any($1::uuid[]) and recipient.status in ('queued', 'failed');

-- name: fail_recipients
-- Of messages that died before they became a row; each by its key.
update broadcast_recipients as recipient
set status = 'failed', error_code = dead.code, updated_at = now()
from unnest($1::text[], $2::text[], $3::text[]) as dead (campaign_id, wa_id, code)
cross join lateral (
    select id from broadcast_recipients where campaign_id = dead.campaign_id and wa_id = dead.wa_id limit 1
) as found
where recipient.id = found.id and recipient.status = 'queued';
