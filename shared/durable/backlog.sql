-- name: glance_at_deferred
-- By reason, each counted up to $1; for how long the first of them has been due.
with recursive found (reason) as (
    (select reason from deferred_messages order by reason limit 1)
    union all
    select (select row.reason from deferred_messages as row where row.reason > found.reason
            order by row.reason limit 1)
    from found where found.reason is not null
)
select found.reason,
       (select count(*) from (select from deferred_messages as row where row.reason = found.reason limit $1) as known)
           as messages,
       (select extract(epoch from now()) - extract(epoch from row.not_before)
        from deferred_messages as row where row.reason = found.reason
        order by row.reason, row.not_before, row.seq limit 1)::float8 as overdue_s
from found
where found.reason is not null
order by found.reason;
