-- name: find_carts
-- Of notices that move: carts are locked before them.
select distinct cart from notification_log where id = any($1::uuid[]) and cart is not null;

-- name: move
-- By the rank of states, as their messages, each with the attempt that its row is at; what was skipped stays so. What
-- failed and may pass is due again, so often ($11) and in time, and a failure that is told again then changes nothing.
with told as (
    select notice.id, notice.status as old_status,
           case when row.status = 'failed' and notice.status = 'pending' then 'pending'
                when row.status = 'failed' and notice.status in ('queued', 'sent') and row.after is not null
                     and notice.retry_count < $11 and not (row.as_template and notice.template_only)
                     and (notice.not_after is null or now() + row.after < notice.not_after) then 'pending'
                when array_position(ladder.states, row.status) > array_position(ladder.states, notice.status)
                then row.status else notice.status end as status,
           row.wamid, row.sent_at, row.delivered_at, row.read_at, row.error_code, row.error_message, row.after,
           row.as_template
    from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                $7::timestamptz[], $8::text[], $9::text[], $10::interval[], $12::boolean[])
         as row (id, attempt, status, wamid, sent_at, delivered_at, read_at, error_code, error_message, after,
                 as_template)
    join notification_log as notice on notice.id = row.id and notice.attempt = row.attempt,
         (select array['pending', 'queued', 'sent', 'delivered', 'failed', 'read']) as ladder (states)
    where notice.status <> 'skipped'
    order by notice.id
    for update of notice
)
update notification_log as notice
set status = told.status,
    wamid = coalesce(told.wamid, notice.wamid),
    sent_at = coalesce(told.sent_at, notice.sent_at),
    delivered_at = coalesce(told.delivered_at, notice.delivered_at),
    read_at = coalesce(told.read_at, notice.read_at),
    error_code = case when told.status in ('failed', 'pending') then told.error_code
                      when told.status = 'read' then null else notice.error_code end,
    error_message = case when told.status in ('failed', 'pending') then told.error_message
                         when told.status = 'read' then null else notice.error_message end,
    not_before = case when told.status = 'pending'
                      then case when told.old_status = 'pending' then notice.not_before else now() + told.after end end,
    retry_count = notice.retry_count + case when told.status = 'pending' and told.old_status <> 'pending' then 1 else 0 end,
    template_only = notice.template_only or (told.status = 'pending' and coalesce(told.as_template, false)),
    -- A place is free again where nothing was accepted.
    reserved_at = case when told.status in ('failed', 'pending') and coalesce(told.sent_at, notice.sent_at) is null
                       then null else notice.reserved_at end,
    revision = notice.revision + case when told.status <> told.old_status then 1 else 0 end,
    updated_at = now()
from told
where notice.id = told.id
returning notice.id, notice.shop_id, notice.notification_type, notice.cart,
          split_part(notice.dedupe_key, ':', 3) as planned_round, told.old_status, notice.status as new_status,
          notice.revision, notice.sent_at, now() as at;

-- name: credit
update reengagement set sent_at = row.sent_at
from unnest($1::uuid[], $2::timestamptz[]) as row (id, sent_at)
where reengagement.id = row.id and reengagement.sent_at is null;
