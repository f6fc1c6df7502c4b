-- name: list
-- What is not over comes first ($4: alone); with what may hold it: its number ($3 where it names none), the scheduler.
select campaign.id, campaign.name, campaign.status, campaign.status_reason, campaign.phone_number_id,
       campaign.category, campaign.batch_size, campaign.batch_delay_ms, campaign.scheduled_at,
       campaign.on_ambiguous, campaign.next_batch_at, campaign.started_at, campaign.finished_at,
       campaign.created_at, extract(epoch from now() - campaign.started_at)::float8 as running_s,
       coalesce(campaign.scheduled_at <= now(), true) as is_due,
       number.since as number_paused_since, number.reason as number_reason, breaker.opened_at as breaker_since,
       (select extract(epoch from now() - expires_at)::float8 from leases where name = 'scheduler') as lapsed_s
from broadcast_campaigns as campaign
left join business_numbers as number
    on number.phone_number_id = coalesce(campaign.phone_number_id, $3) and number.state = 'paused'
left join circuit_breakers as breaker
    on breaker.service = coalesce(campaign.phone_number_id, $3) and breaker.state <> 'closed'
where ($1::text is null or campaign.id = $1) and not ($4 and campaign.status in ('cancelled', 'done'))
order by campaign.status in ('cancelled', 'done'), campaign.created_at desc, campaign.id
limit $2;

-- name: count
-- Recipients by status and, where they were not reached, by why; `lately` were sent in the last minute.
select campaign_id, status, coalesce(skip_reason, case when status = 'failed' then error_code end) as why,
       count(*)::int as recipients,
       (count(*) filter (where sent_at > now() - interval '1 minute'))::int as lately
from broadcast_recipients
where campaign_id = any($1::text[])
group by 1, 2, 3
order by 1, 2, 3;
