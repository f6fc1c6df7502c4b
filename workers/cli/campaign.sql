-- name: open_draft
insert into broadcast_campaigns
    (id, phone_number_id, name, template, message_text, category, batch_size, batch_delay_ms, scheduled_at,
     on_ambiguous)
values ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8, $9, $10)
on conflict (id) do nothing;

-- name: lock
select id as campaign_id, status, fields_hash, phone_number_id, name, template::text as template, message_text,
       category, batch_size, batch_delay_ms, scheduled_at, on_ambiguous
from broadcast_campaigns
where id = $1
for no key update;

-- name: clear_draft
delete from broadcast_recipients where campaign_id = $1;

-- name: count_recipients
select count(*)::int from broadcast_recipients where campaign_id = $1;

-- name: count_known
select count(*)::int
from unnest($2::text[]) as asked (wa_id)
join broadcast_recipients as recipient on recipient.campaign_id = $1 and recipient.wa_id = asked.wa_id;

-- name: find
select status, clock_timestamp() as at from broadcast_campaigns where id = $1;

-- name: is_carried_out
select status from broadcast_campaigns where id = $1 and (control_at >= $2 or status in ('cancelled', 'done'));

-- name: list
-- What is not over comes first.
select id, name, status, status_reason, phone_number_id, category, batch_size, batch_delay_ms, scheduled_at,
       next_batch_at, started_at, finished_at, created_at,
       extract(epoch from now() - started_at)::float8 as running_s
from broadcast_campaigns
where $1::text is null or id = $1
order by status in ('cancelled', 'done'), created_at desc, id
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
