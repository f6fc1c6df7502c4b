-- name: due
-- Longest due first, so that campaigns which share a number's rate take turns. One whose recipients are all
-- under way needs no batch.
select id
from broadcast_campaigns as campaign
where status in ('scheduled', 'running') and next_batch_at <= now()
  and (status = 'scheduled'
       or exists (select from broadcast_recipients as recipient
                  where recipient.campaign_id = campaign.id and recipient.status = 'pending'))
  and not exists (select from rows_set_aside where job = 'campaigns' and row_key = campaign.id)
order by next_batch_at, id;

-- name: find_finished
-- Nobody pending, nobody queued.
select id
from broadcast_campaigns as campaign
where status = 'running'
  and not exists (select from broadcast_recipients as recipient
                  where recipient.campaign_id = campaign.id and recipient.status in ('pending', 'queued'))
  and not exists (select from rows_set_aside where job = 'campaigns' and row_key = campaign.id)
order by id;

-- name: finish
-- Of these, those of which it is true.
with finished as (
    select id
    from broadcast_campaigns as campaign
    where status = 'running' and id = any($1::text[])
      and not exists (select from broadcast_recipients as recipient
                      where recipient.campaign_id = campaign.id and recipient.status in ('pending', 'queued'))
    order by id
    for no key update skip locked
)
update broadcast_campaigns as campaign
set status = 'done', status_reason = null, next_batch_at = null, finished_at = now(), updated_at = now()
from finished
where campaign.id = finished.id
returning campaign.id, campaign.correlation_id, campaign.updated_at as at;

-- name: count_recipients
select campaign_id, status, count(*)::int as recipients
from broadcast_recipients
where campaign_id = any($1::text[])
group by campaign_id, status;

-- name: add_recipients
-- In their order; of a customer named twice the first counts.
insert into broadcast_recipients (campaign_id, wa_id, variables)
select $1, wa_id, variables::jsonb
from unnest($2::text[], $3::text[]) with ordinality as row (wa_id, variables, place)
order by place
on conflict (campaign_id, wa_id) do nothing;

-- name: read_reachability
-- The window is that of this customer and this number: any of their conversations, open or past. It is counted
-- from when we stored the message, so that one clock decides.
select asked.wa_id,
       coalesce(not profile.opt_in_marketing, false) as refuses_marketing,
       coalesce(profile.notification_opt_out, false) as refuses_all,
       exists (select
               from conversation_mappings as mapping
               join message_tracking as tracked on tracked.mapping_id = mapping.id
               where mapping.wa_id = asked.wa_id and mapping.phone_number_id = $2
                 and tracked.direction = 'INBOUND' and tracked.created_at > now() - $3::interval) as window_open
from unnest($1::text[]) as asked (wa_id)
left join customer_profiles as profile on profile.phone = asked.wa_id;
