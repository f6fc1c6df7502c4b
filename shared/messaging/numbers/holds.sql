-- name: read_evidence
-- What others tell of failures (message, attempt, code, class). Where a status told of them ($5) an acceptance proves
-- nothing: the platform's own later word of another message does. Read on errors only, by campaign and by message.
with asked as (
    select row.id, row.attempt, row.code, row.class, tracked.campaign_id, mapping.phone_number_id
    from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) as row (id, attempt, code, class)
    join message_tracking as tracked on tracked.id = row.id
    join conversation_mappings as mapping on mapping.id = tracked.mapping_id
), doubted as (
    select distinct campaign_id from asked where class = 'parameter' and campaign_id is not null
), fitting as (
    select doubted.campaign_id
    from doubted
    where exists (
        select from message_tracking as other
        where other.campaign_id = doubted.campaign_id and other.wamid is not null and other.id <> all($1::uuid[])
          and (other.error_code is null or not other.error_code = any($6::text[]))
          and (not $5 or exists (select from status_events as event
                                 where event.message_id = other.id and event.source <> 'wabus'
                                   and event.status in ('sent', 'delivered', 'read', 'played')))
    )
)
select asked.id, fitting.campaign_id is not null as template_fits,
       exists (select from broadcast_recipients as recipient
               where recipient.message_id = asked.id and recipient.status in ('pending', 'queued', 'sent'))
           as in_campaign,
       asked.class = 'auth' and exists (
           select from send_attempts as now_failed
           join business_numbers as number
               on number.phone_number_id = asked.phone_number_id and number.state = 'active'
              and number.since < now_failed.started_at
           join send_attempts as before
               on before.message_id = asked.id and before.attempt < asked.attempt and before.error_code = asked.code
              and before.started_at < number.since
           where now_failed.message_id = asked.id and now_failed.attempt = asked.attempt
             and exists (
                 select from send_attempts as other
                 join message_tracking as of_other on of_other.id = other.message_id
                 join conversation_mappings as mapping on mapping.id = of_other.mapping_id
                 where other.started_at > before.started_at and other.outcome = 'sent'
                   and other.message_id <> asked.id and mapping.phone_number_id = asked.phone_number_id
                   and (not $5 or exists (select from status_events as event
                                          where event.message_id = other.message_id and event.source <> 'wabus'
                                            and event.status in ('sent', 'delivered', 'read', 'played'))))
       ) as pauses_again
from asked
left join fitting on fitting.campaign_id = asked.campaign_id;

-- name: read_templates
-- Of the campaigns of these messages, with the placeholders as they were launched.
select tracked.id, campaign.template
from message_tracking as tracked
join broadcast_campaigns as campaign on campaign.id = tracked.campaign_id
where tracked.id = any($1::uuid[]) and campaign.template is not null;

-- name: pause_numbers
-- Not where somebody has set the number going since the attempt began.
insert into business_numbers as number (phone_number_id, state, reason, since, changed_by)
select row.phone_number_id, 'paused', row.reason, row.started_at, $4
from (
    select distinct on (mapping.phone_number_id) mapping.phone_number_id, given.reason, attempt.started_at
    from unnest($1::uuid[], $2::integer[], $3::text[]) as given (message_id, attempt, reason)
    join send_attempts as attempt on attempt.message_id = given.message_id and attempt.attempt = given.attempt
    join message_tracking as tracked on tracked.id = given.message_id
    join conversation_mappings as mapping on mapping.id = tracked.mapping_id
    order by mapping.phone_number_id, attempt.started_at desc
) as row
order by row.phone_number_id
on conflict (phone_number_id) do update
set state = 'paused', reason = excluded.reason, since = now(), changed_by = excluded.changed_by
where number.state <> 'paused' and number.since < excluded.since
returning phone_number_id, reason;

-- name: hold_marketing
-- A number that is not known yet begins as of the attempt, so that what fails beside it may still pause it.
insert into business_numbers as number (phone_number_id, since, marketing_held_until)
select mapping.phone_number_id, min(attempt.started_at), now() + $3::interval
from unnest($1::uuid[], $2::integer[]) as given (message_id, attempt)
join send_attempts as attempt on attempt.message_id = given.message_id and attempt.attempt = given.attempt
join message_tracking as tracked on tracked.id = given.message_id
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
group by mapping.phone_number_id
order by mapping.phone_number_id
on conflict (phone_number_id) do update set marketing_held_until = excluded.marketing_held_until
returning phone_number_id;

-- name: lock_campaigns
-- Whoever weighs a campaign's failures does it alone.
select id from broadcast_campaigns
where id in (select campaign_id from message_tracking where id = any($1::uuid[]))
order by id
for no key update;

-- name: requeue_recipients
-- Their messages are under way again. $2: what was refused of them leaves the template in doubt.
update broadcast_recipients as recipient
set status = 'queued', wamid = null, sent_at = null, queued_at = coalesce(recipient.queued_at, now()),
    refused_at = case when $2 then now() else recipient.refused_at end, updated_at = now()
where recipient.message_id = any($1::uuid[]) and recipient.status in ('pending', 'queued', 'sent');

-- name: campaigns_of
select id, campaign_id from message_tracking where id = any($1::uuid[]) and campaign_id is not null;

-- name: find_refused
-- Of these campaigns those whose template is at fault: so many recipients in doubt, or all who are left.
select campaign.id
from broadcast_campaigns as campaign
where campaign.id = any($1::text[])
  and ((select count(*)
        from (select from broadcast_recipients as recipient
              where recipient.campaign_id = campaign.id and recipient.status = 'queued'
                and recipient.refused_at >= recipient.queued_at
              limit $2) as doubted) = $2
       or not exists (select from broadcast_recipients as recipient
                      where recipient.campaign_id = campaign.id and recipient.status in ('pending', 'queued')
                        and not (recipient.status = 'queued'
                                 and coalesce(recipient.refused_at >= recipient.queued_at, false))));

-- name: doubted_messages
-- Messages of all recipients that leave a campaign's template in doubt.
select message_id from broadcast_recipients
where campaign_id in (select campaign_id from message_tracking where id = any($1::uuid[])) and status = 'queued' and refused_at >= queued_at and message_id is not null;

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

-- name: return_refused
-- Recipients whose message was refused are their campaign's again, as if it had never been sent: those who still
-- carry that message, for another one may be under way to them. (Whom the sender gives back was never sent to; no
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
