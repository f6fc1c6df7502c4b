-- name: find
select status, clock_timestamp() as at from broadcast_campaigns where id = $1;

-- name: is_carried_out
select status from broadcast_campaigns where id = $1 and (control_at >= $2 or status in ('cancelled', 'done'));
