-- name: lock_messages
-- In a statement of its own: the next one then sees what whoever held the locks has committed.
select id from message_tracking where id = any($1::uuid[]) order by id for update;

-- name: read_gates
-- All that decides whether each message may be sent now. A message whose row is gone is not returned.
select given.place, tracked.status, mapping.phone_number_id as number,
       coalesce(mapping.customer, mapping.wa_id) as customer, mapping.wa_id, mapping.user_id,
       coalesce(made.attempts, 0) as attempts, made.unsettled, coalesce(made.unsettled_for_s, 0) as unsettled_for_s,
       coalesce(made.unanswered_s, 0) as unanswered_s,
       coalesce(made.attempts - made.last_other, made.attempts, 0) as pair_refusals,
       coalesce(made.phone_wanted, 0) as phone_wanted,
       campaign.status as campaign, recipient.status as recipient,
       case when given.notice is null then null
            when tracked.client_message_id = 'notice:' || notice.id || ':' || notice.attempt then notice.status
            else 'gone' end as notice,
       notice.abandoned_at is not null and exists (
           select from conversation_mappings as theirs
           join message_tracking as reply on reply.mapping_id = theirs.id
           where coalesce(theirs.customer, theirs.wa_id) = coalesce(mapping.customer, mapping.wa_id)
             and reply.direction = 'INBOUND' and reply.created_at > notice.abandoned_at
       ) as has_replied,
       recipient.id is not null and exists (
           select from broadcast_recipients as twin
           where coalesce(twin.customer, twin.wa_id) = coalesce(mapping.customer, mapping.wa_id)
             and twin.campaign_id = tracked.campaign_id and twin.id <> recipient.id
             and twin.status in ('sent', 'delivered', 'read', 'failed')
       ) as is_reached,
       coalesce(given.expires_at <= now(), false) as expired,
       coalesce(profile.has_refused, false) as opted_out,
       coalesce(profile.has_refused_all, false) as opted_out_of_all,
       coalesce(number.state = 'paused', false) as number_paused,
       coalesce(greatest(extract(epoch from number.marketing_held_until - now()), 0), 0)::float8 as marketing_held_s,
       exists (
           select from message_tracking as earlier
           left join broadcast_campaigns as its_campaign on its_campaign.id = earlier.campaign_id
           where earlier.mapping_id = tracked.mapping_id and earlier.queued_lane = tracked.lane
             and earlier.seq < tracked.seq
             and (its_campaign.id is null or its_campaign.status = 'running')
       ) as earlier_waits,
       coalesce(circuit.state, 'closed') as state, coalesce(circuit.failures, 0) as failures,
       coalesce(circuit.failed_messages, '{}') as failed_messages, coalesce(circuit.probes, 0) as probes,
       coalesce(extract(epoch from now() - circuit.opened_at), 0)::float8 as open_for_s,
       coalesce(extract(epoch from circuit.probes_until - now()), 0)::float8 as probe_lease_s
from unnest($1::uuid[], $2::timestamptz[], $4::text[], $5::uuid[])
     with ordinality as given (id, expires_at, wa_id, notice, place)
join message_tracking as tracked on tracked.id = given.id
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
left join lateral (
    select max(attempt) as attempts,
           max(attempt) filter (where error_code is distinct from '131056') as last_other,
           case when bool_or(outcome = 'sent') then 'sent'
                when bool_or(outcome is null) then 'open'
                when bool_or(outcome = 'ambiguous') then 'ambiguous' end as unsettled,
           count(*) filter (where error_code = '131062') as phone_wanted,
           extract(epoch from now() - max(started_at)
                   filter (where outcome is null or outcome = 'ambiguous'))::float8 as unsettled_for_s,
           extract(epoch from now() - min(started_at)
                   filter (where error_code like 'http%' and http_status <> 429))::float8 as unanswered_s
    from send_attempts
    where message_id = tracked.id
) as made on true
left join broadcast_campaigns as campaign on campaign.id = tracked.campaign_id
left join broadcast_recipients as recipient
    on recipient.campaign_id = tracked.campaign_id and recipient.wa_id = coalesce(given.wa_id, mapping.wa_id)
left join lateral (
    -- Most messages have none: nothing is looked up for them.
    select log.id, log.status, log.attempt, cart.abandoned_at
    from notification_log as log
    left join carts as cart on cart.id = log.cart
    where log.id = given.notice
) as notice on given.notice is not null
left join lateral (
    -- Under either notation: profiles of before are read by the scheduler, in its time.
    select bool_or(opt_in_marketing is false or notification_opt_out) as has_refused,
           bool_or(notification_opt_out) as has_refused_all
    from customer_profiles
    where phone in (coalesce(mapping.customer, mapping.wa_id),
                    other_notation(coalesce(mapping.customer, mapping.wa_id)))
) as profile on true
left join business_numbers as number on number.phone_number_id = mapping.phone_number_id
left join lateral (
    select breaker.* from circuit_breakers as breaker
    where breaker.service in (mapping.phone_number_id, $3)
    order by breaker.service = $3
    limit 1
) as circuit on true;

-- name: claim
-- The claim: only where no other attempt of that number, open or successful, is there. A recipient that was not
-- queued yet when the message was tracked is bound to it now.
with claimed as (
    insert into send_attempts (message_id, attempt)
    select row.id, row.attempt
    from unnest($1::uuid[], $2::integer[]) as row (id, attempt)
    order by row.id
    on conflict do nothing
    returning message_id
), bound as (
    update broadcast_recipients as recipient
    set message_id = tracked.id, updated_at = now()
    from claimed
    join unnest($1::uuid[], $3::text[]) as given (id, wa_id) on given.id = claimed.message_id
    join message_tracking as tracked on tracked.id = claimed.message_id
    join conversation_mappings as mapping on mapping.id = tracked.mapping_id
    where recipient.campaign_id = tracked.campaign_id and recipient.wa_id = coalesce(given.wa_id, mapping.wa_id)
      and recipient.status = 'queued' and recipient.message_id is distinct from tracked.id
)
select message_id from claimed;
