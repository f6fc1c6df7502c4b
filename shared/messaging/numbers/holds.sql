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
