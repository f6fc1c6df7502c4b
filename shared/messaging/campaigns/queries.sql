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

-- name: open
-- A row for a campaign that is not known yet; the caller's transaction decides what it becomes.
insert into broadcast_campaigns (id) values ($1) on conflict (id) do nothing;

-- name: launch
update broadcast_campaigns
set fields_hash = $2, phone_number_id = $3, name = $4, template = $5::text::jsonb, message_text = $6, category = $7,
    batch_size = $8, batch_delay_ms = $9, scheduled_at = $10, correlation_id = $11, status = $12,
    next_batch_at = $13, on_ambiguous = $14, metadata = $15, updated_at = now()
where id = $1;

-- name: control
update broadcast_campaigns
set status = $2, next_batch_at = $3, control_at = greatest(control_at, $4), status_reason = $5,
    finished_at = case when $2 = 'cancelled' then now() end, updated_at = now()
where id = $1;

-- name: begin
-- The next one is counted from when this one was due, or the scheduler's ticks would stretch each delay by up to
-- a tick; but at least half a delay from now, so that what was missed is not made up in a burst.
update broadcast_campaigns
set status = 'running', started_at = coalesce(started_at, now()), updated_at = now(),
    next_batch_at = greatest(next_batch_at + batch_delay_ms * interval '1 millisecond',
                             now() + batch_delay_ms * interval '0.5 millisecond')
where id = $1;

-- name: reopen_campaigns
-- Somebody is to be sent to after all.
update broadcast_campaigns as campaign
set status = 'running', next_batch_at = now(), finished_at = null, updated_at = now()
where campaign.status = 'done'
  and campaign.id in (select campaign_id from broadcast_recipients
                      where message_id = any($1::uuid[]) and status = 'queued')
returning campaign.id, 'done' as old_status, campaign.status as new_status, campaign.status_reason as reason,
          campaign.correlation_id, campaign.updated_at as at;

-- name: pause_campaigns
with given as (
    select distinct on (tracked.campaign_id) tracked.campaign_id as id, row.reason
    from unnest($1::uuid[], $2::text[]) as row (message_id, reason)
    join message_tracking as tracked on tracked.id = row.message_id
    order by tracked.campaign_id
), before as (
    select id, status from broadcast_campaigns
    where id in (select id from given) and status in ('running', 'done')
    order by id
    for no key update
)
update broadcast_campaigns as campaign
set status = 'paused', status_reason = given.reason, finished_at = null, updated_at = now()
from before
join given on given.id = before.id
where campaign.id = before.id
returning campaign.id, before.status as old_status, campaign.status as new_status, campaign.status_reason as reason,
          campaign.correlation_id, campaign.updated_at as at;
