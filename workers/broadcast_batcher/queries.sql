-- name: open
-- A row for a campaign that is not known yet; the caller's transaction decides what it becomes.
insert into broadcast_campaigns (id) values ($1) on conflict (id) do nothing;

-- name: lock
-- Not `for update`: the sender's rows refer to this one, and their inserts need not wait.
select status, fields_hash, control_at, scheduled_at, correlation_id, now() as at
from broadcast_campaigns
where id = $1
for no key update;

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

-- name: has_recipients
select exists (select from broadcast_recipients where campaign_id = $1);

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

-- name: find_attempted
-- Messages that were tried, went back to pending with their recipients, and will never be tried again.
select tracked.id
from message_tracking as tracked
cross join lateral (
    select from conversation_mappings as mapping
    join broadcast_recipients as recipient
      on recipient.campaign_id = tracked.campaign_id and recipient.wa_id = mapping.wa_id
    where mapping.id = tracked.mapping_id and recipient.status = 'skipped'
    limit 1
) as skipped
where tracked.campaign_id = $1 and tracked.queued_lane is not null
order by tracked.id;

-- name: lock_due
-- The guard of a batch: of two replicas with the same nudge the second finds it not due any more.
select id, status, phone_number_id, template::text as template, message_text, category, batch_size,
       on_ambiguous, correlation_id, now() as at
from broadcast_campaigns
where id = $1 and status in ('scheduled', 'running') and next_batch_at <= now()
  and (template is not null or message_text is not null)
for no key update;

-- name: lock_number
-- One batch of a number at a time, so that their counts of what is queued add up.
select pg_advisory_xact_lock(hashtextextended('wabus campaigns of number ' || $1, 0));

-- name: count_queued
select count(*)::int
from broadcast_campaigns as campaign
join broadcast_recipients as recipient on recipient.campaign_id = campaign.id and recipient.status = 'queued'
where campaign.status = 'running' and coalesce(campaign.phone_number_id, $2) = $1;

-- name: begin
-- The next one is counted from when this one was due, or the scheduler's ticks would stretch each delay by up to
-- a tick; but at least half a delay from now, so that what was missed is not made up in a burst.
update broadcast_campaigns
set status = 'running', started_at = coalesce(started_at, now()), updated_at = now(),
    next_batch_at = greatest(next_batch_at + batch_delay_ms * interval '1 millisecond',
                             now() + batch_delay_ms * interval '0.5 millisecond')
where id = $1;

-- name: claim
select id, wa_id, variables::text as variables
from broadcast_recipients
where campaign_id = $1 and status = 'pending'
order by id
limit $2
for update skip locked;

-- name: skip
update broadcast_recipients as recipient
set status = 'skipped', skip_reason = row.reason, updated_at = now()
from unnest($1::bigint[], $2::text[]) as row (id, reason)
where recipient.id = row.id;

-- name: queue
update broadcast_recipients set status = 'queued', queued_at = now(), updated_at = now()
where id = any($1::bigint[]);
