-- name: record
-- The same deed done to each of these ($3).
insert into audit_log (actor, action, subject, details)
select $1, $2, subject, $4::jsonb from unnest($3::text[]) as done_to (subject);

-- name: list
-- The newest of what matches, oldest of them first. $1 or $2: since when, or for how long. $4: what was changed,
-- by its name or a customer's hash.
select * from (
    select id, at, actor, action, subject, details, count(*) over () as total
    from audit_log
    where ($1::timestamptz is null or at >= $1)
      and ($2::interval is null or at >= now() - $2)
      and ($3::text is null or actor = $3)
      and ($4::text[] is null or subject = any($4))
    order by id desc
    limit $5
) as newest
order by id;
