-- name: lock_messages
select id from message_tracking where id = any($1::uuid[]) order by id for update;

-- name: close_attempts
-- Attempts that end without ending their message. One that a status has closed meanwhile is not returned.
update send_attempts as attempt
set outcome = row.outcome, finished_at = now(), http_status = row.http_status, error_code = row.error_code,
    error_message = row.error_message
from unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::text[], $6::text[])
     as row (message_id, number, outcome, http_status, error_code, error_message)
where attempt.message_id = row.message_id and attempt.attempt = row.number and attempt.outcome is null
returning attempt.message_id;

-- name: pause_numbers
-- Not where somebody has set the number going since the attempt began.
insert into business_numbers as number (phone_number_id, state, reason, since, changed_by)
select row.phone_number_id, 'paused', row.reason, row.started_at, 'outbound-sender'
from (
    select distinct on (given.phone_number_id) given.phone_number_id, given.reason, attempt.started_at
    from unnest($1::text[], $2::text[], $3::uuid[], $4::integer[])
         as given (phone_number_id, reason, message_id, attempt)
    join send_attempts as attempt
        on attempt.message_id = given.message_id and attempt.attempt = given.attempt
    order by given.phone_number_id, attempt.started_at desc
) as row
order by row.phone_number_id
on conflict (phone_number_id) do update
set state = 'paused', reason = excluded.reason, since = now(), changed_by = excluded.changed_by
where number.state <> 'paused' and number.since < excluded.since
returning phone_number_id, reason;

-- name: opt_out
insert into customer_profiles as profile (phone, opt_in_marketing, marketing_opted_at)
select distinct phone, false, now() from unnest($1::text[]) as row (phone) order by phone
on conflict (phone) do update
set opt_in_marketing = false, marketing_opted_at = excluded.marketing_opted_at, updated_at = now()
where profile.opt_in_marketing is distinct from false;

-- name: pause_campaigns
update broadcast_campaigns as campaign
set status = 'paused', status_reason = row.reason, updated_at = now()
from (
    select distinct on (tracked.campaign_id) tracked.campaign_id, given.reason
    from unnest($1::uuid[], $2::text[]) as given (message_id, reason)
    join message_tracking as tracked on tracked.id = given.message_id
    order by tracked.campaign_id
) as row
where campaign.id = row.campaign_id and campaign.status = 'running'
returning campaign.id, campaign.status_reason as reason, campaign.correlation_id, now() as at;

-- name: return_recipients
-- The campaign's row is locked, so that a cancel leaves nobody pending.
with returned as (
    select tracked.campaign_id, mapping.wa_id
    from unnest($1::uuid[]) as row (message_id)
    join message_tracking as tracked on tracked.id = row.message_id
    join conversation_mappings as mapping on mapping.id = tracked.mapping_id
), campaign as (
    select id, status from broadcast_campaigns
    where id in (select campaign_id from returned)
    order by id
    for share
)
update broadcast_recipients as recipient
set status = case when campaign.status = 'cancelled' then 'skipped' else 'pending' end,
    skip_reason = case when campaign.status = 'cancelled' then 'campaign_cancelled' end,
    queued_at = null, updated_at = now()
from returned
join campaign on campaign.id = returned.campaign_id
where recipient.campaign_id = returned.campaign_id and recipient.wa_id = returned.wa_id
  and recipient.status = 'queued';

-- name: skip_recipients
update broadcast_recipients as recipient
set status = 'skipped', skip_reason = 'campaign_cancelled', error_code = null, updated_at = now()
from unnest($1::uuid[]) as row (message_id)
join message_tracking as tracked on tracked.id = row.message_id
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
where recipient.campaign_id = tracked.campaign_id and recipient.wa_id = mapping.wa_id
  and recipient.status in ('queued', 'failed');
