-- name: lock
-- Not `for update`: the sender's rows refer to this one, and their inserts need not wait.
select status, fields_hash, control_at, scheduled_at, correlation_id, now() as at
from broadcast_campaigns
where id = $1
for no key update;

-- name: has_recipients
select exists (select from broadcast_recipients where campaign_id = $1);

-- name: find_attempted
-- Messages that were tried, went back to pending with their recipients, and will never be tried again.
select tracked.id
from message_tracking as tracked
cross join lateral (
    select from broadcast_recipients where message_id = tracked.id and status = 'skipped' limit 1
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

-- name: claim
select id, wa_id, variables::text as variables
from broadcast_recipients
where campaign_id = $1 and status = 'pending'
order by id
limit $2
for update skip locked;
