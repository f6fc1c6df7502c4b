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

-- name: count_twins
-- Recipients that are another address of somebody among them.
select (count(*) - count(distinct coalesce(customer, wa_id)))::int from broadcast_recipients where campaign_id = $1;

-- name: count_known
select count(*)::int
from unnest($2::text[]) as asked (wa_id)
join broadcast_recipients as recipient on recipient.campaign_id = $1 and recipient.wa_id = asked.wa_id;
